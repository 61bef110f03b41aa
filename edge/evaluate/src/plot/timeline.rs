//! A recording's truth and detections over time, below its spectrogram: a recording enters, pages
//! of a minute leave.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    COLOURS, Canvas, FAINT, INK, SMALL, Spectrogram, TEXT, TITLE, failed, fill, line, outline, style, svg, write_text,
};
use crate::event::pair_up;
use crate::{Collar, Detection, Extent, Result, Sound, by_class};

/// Length of a page, seconds.
pub const PAGE_S: f64 = 60.0;

const WIDTH: i32 = 1240;
const LEFT: i32 = 170;
const RIGHT: i32 = 24;
const TOP: i32 = 76;
const PICTURE: i32 = 150;
const LANE: i32 = 36;
const BAR: i32 = 13;
const AXIS: i32 = 52;
/// Room for a character of a legend.
const CHARACTER: i32 = 6;
/// Names on the frequency axis are no closer than this.
const TICK: i32 = 13;

const THERE: RGBColor = RGBColor(90, 90, 90);
const MISSED: RGBColor = RGBColor(200, 30, 30);
const HIT: RGBColor = COLOURS[3];
const INEXACT: RGBColor = COLOURS[5];
const FALSE: RGBColor = COLOURS[2];

/// A recording with what is there and what was reported.
#[derive(Debug)]
pub struct Timeline<'a> {
    title: &'a str,
    labels: &'a [String],
    duration_s: f64,
    spectrogram: &'a Spectrogram,
    /// Those with something in them.
    lanes: Vec<Lane>,
}

/// One class.
#[derive(Debug)]
struct Lane {
    class_id: usize,
    /// With whether it was found at all.
    sounds: Vec<(Sound, bool)>,
    detections: Vec<(Detection, RGBColor)>,
}

impl<'a> Timeline<'a> {
    /// A recording's timeline, under the name `title`.
    ///
    /// # Panics
    ///
    /// When a class has no label.
    pub fn new(
        title: &'a str,
        labels: &'a [String],
        truth: &[Sound],
        detections: &[Detection],
        duration_s: f64,
        spectrogram: &'a Spectrogram,
    ) -> Self {
        let classes = by_class(truth, labels.len()).into_iter().zip(by_class(detections, labels.len()));
        let lanes =
            classes.enumerate().map(|(class_id, (sounds, detections))| Lane::new(class_id, &sounds, &detections));
        let lanes = lanes.filter(|lane| !lane.sounds.is_empty() || !lane.detections.is_empty()).collect();
        Timeline { title, labels, duration_s, spectrogram, lanes }
    }

    /// How many pages it has; at least one.
    pub fn n_pages(&self) -> usize {
        ((self.duration_s / PAGE_S).ceil() as usize).max(1)
    }

    /// Missed sounds and false alarms on a page.
    pub fn n_errors(&self, page: usize) -> usize {
        let missed = |lane: &Lane| lane.sounds.iter().filter(|(sound, found)| on(page, sound) && !found).count();
        let wrong = |lane: &Lane| lane.detections.iter().filter(|(d, colour)| on(page, d) && *colour == FALSE).count();
        self.lanes.iter().map(|lane| missed(lane) + wrong(lane)).sum()
    }

    /// Draws a page.
    ///
    /// # Errors
    ///
    /// When nothing can be drawn.
    pub fn page(&self, page: usize) -> Result<String> {
        let from_s = page as f64 * PAGE_S;
        let mut lanes: Vec<&Lane> = self.lanes.iter().filter(|lane| lane.begins_s(page).is_finite()).collect();
        lanes.sort_by(|a, b| a.begins_s(page).total_cmp(&b.begins_s(page)));
        let bottom = TOP + PICTURE + 8 + LANE * lanes.len().max(1) as i32;
        let height = bottom + AXIS;
        let drawing = svg(WIDTH as u32, height as u32, |canvas| {
            self.head(canvas, page)?;
            self.frequencies(canvas)?;
            time_axis(canvas, from_s, bottom)?;
            for (row, lane) in (0..).zip(&lanes) {
                lane.draw(canvas, &self.labels[lane.class_id], from_s, TOP + PICTURE + 8 + row * LANE)?;
            }
            if lanes.is_empty() {
                let text = style(TEXT, &INK, (HPos::Left, VPos::Center));
                write_text(canvas, "nothing is there, nothing was reported", (LEFT + 12, bottom - LANE / 2), &text)?;
            }
            line(canvas, (LEFT, bottom), (WIDTH - RIGHT, bottom), INK.into())
        })?;
        let picture = match self.spectrogram.picture(from_s, (from_s + PAGE_S).min(self.duration_s))? {
            Some((uri, to_s)) => format!(
                r#"<image x="{LEFT}" y="{TOP}" width="{}" height="{PICTURE}" preserveAspectRatio="none" href="{uri}"/>"#,
                x(to_s, from_s) - LEFT
            ),
            None => String::new(),
        };
        // plotters has no pictures without a decoder for them: the drawing lies on top of it, in a
        // document of its own.
        Ok(format!(
            "<svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n{picture}\n{drawing}</svg>\n"
        ))
    }

    fn head(&self, canvas: &Canvas, page: usize) -> Result<()> {
        let title = format!("{}, {} to {}", self.title, clock(page as f64 * PAGE_S), clock(self.end_s(page)));
        write_text(canvas, &title, (16, 12), &style(TITLE, &INK, (HPos::Left, VPos::Top)))?;
        let entries: [(&str, RGBColor, bool); 5] = [
            ("there (upper bars)", THERE, true),
            ("there, not found", MISSED, false),
            ("reported in time (lower bars)", HIT, true),
            ("reported, inexact", INEXACT, true),
            ("reported, false alarm", FALSE, true),
        ];
        let (mut at, y) = (LEFT, 56);
        let text = style(SMALL, &INK, (HPos::Left, VPos::Center));
        for (name, colour, solid) in entries {
            bar(canvas, (at, y - 5), (at + 22, y + 5), colour, solid)?;
            write_text(canvas, name, (at + 28, y), &text)?;
            at += 28 + CHARACTER * name.len() as i32 + 22;
        }
        line(canvas, (at + 6, y - 7), (at + 6, y + 7), BLACK.stroke_width(2))?;
        write_text(canvas, "moment of the report", (at + 16, y), &text)
    }

    fn end_s(&self, page: usize) -> f64 {
        ((page + 1) as f64 * PAGE_S).min(self.duration_s)
    }

    fn frequencies(&self, canvas: &Canvas) -> Result<()> {
        let text = style(SMALL, &INK, (HPos::Right, VPos::Center));
        let mut lowest_free = TOP;
        for (height, hz) in self.spectrogram.ticks().iter().rev() {
            let y = TOP + PICTURE - (height * f64::from(PICTURE)).round() as i32;
            if y < lowest_free {
                continue;
            }
            lowest_free = y + TICK;
            line(canvas, (LEFT - 5, y), (LEFT, y), INK.into())?;
            let name = if *hz < 1000.0 { format!("{hz}") } else { format!("{}k", hz / 1000.0) };
            write_text(canvas, &name, (LEFT - 9, y), &text)?;
        }
        let turned = style(TEXT, &INK, (HPos::Center, VPos::Center)).transform(FontTransform::Rotate270);
        write_text(canvas, "frequency, Hz", (LEFT - 66, TOP + PICTURE / 2), &turned)?;
        outline(canvas, (LEFT, TOP), (WIDTH - RIGHT, TOP + PICTURE), INK)
    }
}

impl Lane {
    fn new(class_id: usize, sounds: &[Sound], detections: &[Detection]) -> Self {
        let touch = |sound: &Sound, detection: &Detection| sound.overlap_s(detection) > 0.0;
        let colour = |(detection, sound): (&Detection, Option<usize>)| match sound {
            Some(_) => HIT,
            None if sounds.iter().any(|sound| touch(sound, detection)) => INEXACT,
            None => FALSE,
        };
        let pairs = detections.iter().zip(pair_up(sounds, detections, &Collar::default()));
        Lane {
            class_id,
            sounds: sounds.iter().map(|sound| (*sound, detections.iter().any(|d| touch(sound, d)))).collect(),
            detections: pairs.map(|pair| (*pair.0, colour(pair))).collect(),
        }
    }

    /// When its first sound or detection on a page begins; infinite where there is none.
    fn begins_s(&self, page: usize) -> f64 {
        let sounds = self.sounds.iter().filter(|(sound, _)| on(page, sound)).map(|(sound, _)| sound.onset_s);
        let detections = self.detections.iter().filter(|(d, _)| on(page, d)).map(|(d, _)| d.onset_s);
        sounds.chain(detections).fold(f64::INFINITY, f64::min)
    }

    fn draw(&self, canvas: &Canvas, label: &str, from_s: f64, y: i32) -> Result<()> {
        write_text(canvas, label, (LEFT - 9, y + LANE / 2), &style(TEXT, &INK, (HPos::Right, VPos::Center)))?;
        line(canvas, (LEFT, y), (WIDTH - RIGHT, y), FAINT.into())?;
        let on_page = |extent: &dyn Fn() -> (f64, f64)| {
            let (onset_s, offset_s) = extent();
            let (from, to) = (x(onset_s, from_s).max(LEFT), x(offset_s, from_s).min(WIDTH - RIGHT));
            (from < to).then_some((from, to))
        };
        let (upper, lower) = (y + 4, y + LANE - 4 - BAR);
        for (sound, found) in &self.sounds {
            if let Some((from, to)) = on_page(&|| (sound.onset_s, sound.offset_s)) {
                bar(canvas, (from, upper), (to, upper + BAR), if *found { THERE } else { MISSED }, *found)?;
            }
        }
        for (detection, colour) in &self.detections {
            let Some((from, to)) = on_page(&|| (detection.onset_s, detection.offset_s)) else { continue };
            fill(canvas, (from, lower), (to, lower + BAR), *colour)?;
            let score = format!("{:.2}", detection.score);
            if to - from > 48 {
                let text = style(12, &WHITE, (HPos::Right, VPos::Center));
                write_text(canvas, &score, (to - 4, lower + BAR / 2 + 1), &text)?;
            }
            let reported = x(detection.t_reported_s, from_s);
            if (LEFT..=WIDTH - RIGHT).contains(&reported) {
                line(canvas, (reported, lower - 2), (reported, lower + BAR + 2), BLACK.stroke_width(2))?;
            }
        }
        Ok(())
    }
}

/// Whether some of it is on a page.
fn on(page: usize, extent: &impl Extent) -> bool {
    let from_s = page as f64 * PAGE_S;
    extent.onset_s() < from_s + PAGE_S && extent.offset_s() > from_s
}

fn bar(canvas: &Canvas, from: (i32, i32), to: (i32, i32), colour: RGBColor, solid: bool) -> Result<()> {
    if solid {
        return fill(canvas, from, to, colour);
    }
    canvas
        .draw(&Rectangle::new([(from.0 + 1, from.1 + 1), (to.0 - 1, to.1 - 1)], colour.stroke_width(2)))
        .map_err(failed)
}

/// Place of a time on a page that begins at `from_s`.
fn x(t_s: f64, from_s: f64) -> i32 {
    LEFT + ((t_s - from_s) / PAGE_S * f64::from(WIDTH - LEFT - RIGHT)).round() as i32
}

fn time_axis(canvas: &Canvas, from_s: f64, y: i32) -> Result<()> {
    let text = style(SMALL, &INK, (HPos::Center, VPos::Top));
    for second in (0..=PAGE_S as i32).step_by(5) {
        let (t_s, labelled) = (from_s + f64::from(second), second % 10 == 0);
        let at = x(t_s, from_s);
        line(canvas, (at, y), (at, y + if labelled { 7 } else { 4 }), INK.into())?;
        if labelled {
            line(canvas, (at, TOP + PICTURE), (at, y), FAINT.into())?;
            write_text(canvas, &clock(t_s), (at, y + 10), &text)?;
        }
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2;
    write_text(
        canvas,
        "time from the recording's start, min:s",
        (middle, y + 30),
        &style(TEXT, &INK, (HPos::Center, VPos::Top)),
    )
}

/// Minutes and seconds, or hours, minutes and seconds.
fn clock(t_s: f64) -> String {
    let s = t_s.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, min, s) => format!("{min}:{s:02}"),
        (h, min, s) => format!("{h}:{min:02}:{s:02}"),
    }
}
