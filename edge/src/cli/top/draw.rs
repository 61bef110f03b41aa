//! Drawing: a view enters, a screen of characters leaves. Made for 80 x 24; wider and higher
//! terminals show more time, bands and labels.

use edge::live::Level;
use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Paragraph, Wrap};

use super::colours::{ColourDepth, Colours};
use super::origin::Info;
use super::view::{Row, View};

/// Less cannot be read.
const MIN_WIDTH: u16 = 50;
const MIN_HEIGHT: u16 = 14;

/// Columns of the axis of frequencies.
const AXIS_WIDTH: u16 = 6;

/// Rows that are neither spectrogram nor labels: title, level, heading, health, keys.
const FIXED_ROWS: u16 = 5;

/// Columns of the list of events.
const EVENTS_WIDTH: u16 = 34;

/// Level of the meter's left end, dBFS.
const METER_FLOOR_DBFS: f32 = -80.0;

/// Bytes from the faintest that is shown to the loudest, at least: a quiet room shall look quiet.
const MIN_RANGE: u8 = 70;

const KEYS: &str = "q quit  space pause  / filter  j/k choose  +/- threshold  r reset  tab source";

pub(super) fn draw(frame: &mut Frame<'_>, view: &View, info: &Info, colours: &Colours) {
    let area = frame.area();
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        let text = format!("The terminal is too small: it needs {MIN_WIDTH} x {MIN_HEIGHT}; q quits");
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let buffer = frame.buffer_mut();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let width = usize::from(area.width);
    let spectrogram_height = (area.height - FIXED_ROWS) / 2;
    let spectrogram = Rect::new(0, 2, area.width, spectrogram_height);
    let lists = 2 + spectrogram_height;
    let bottom = area.height - 2;

    buffer.set_stringn(0, 0, &info.title, width, bold);
    meter(buffer, Rect::new(0, 1, area.width, 1), view, colours);
    show_spectrogram(buffer, spectrogram, view, colours);
    let heading = match (view.is_typing, view.filter.as_str()) {
        (true, filter) => format!("labels with: {filter}_"),
        (false, "") => info.note.map_or("likely now".into(), |note| format!("likely now ({note})")),
        (false, filter) => format!("likely now, of labels with {filter:?}"),
    };
    buffer.set_stringn(0, lists, heading, width, bold);
    let events_x = area.width - EVENTS_WIDTH.min(area.width / 2);
    buffer.set_stringn(events_x, lists, "events", usize::from(area.width - events_x), bold);
    let height = bottom - lists - 1;
    show_labels(buffer, Rect::new(0, lists + 1, events_x - 2, height), view, colours);
    show_events(buffer, Rect::new(events_x, lists + 1, area.width - events_x, height), view);
    match &info.complaint {
        Some(complaint) => buffer.set_stringn(0, bottom, format!("! {complaint}"), width, bold),
        None => buffer.set_stringn(0, bottom, &info.health, width, Style::new()),
    };
    let keys = if view.is_paused { format!("PAUSED  {KEYS}") } else { KEYS.into() };
    buffer.set_stringn(0, bottom + 1, keys, width, dim);
}

/// The level as a bar, with its peak.
fn meter(buffer: &mut Buffer, area: Rect, view: &View, colours: &Colours) {
    let Some(Level { rms_dbfs, peak_dbfs, n_clipped }) = view.level else {
        buffer.set_stringn(area.x, area.y, "level  nothing yet", area.width.into(), Style::new());
        return;
    };
    let peak = peak_dbfs.map_or(String::new(), |peak| format!(", peak {peak:.0}"));
    let clip = if n_clipped > 0 { "  CLIPPED" } else { "" };
    let text = format!("{rms_dbfs:6.1} dBFS{peak}{clip}");
    let n_places = usize::from(area.width).saturating_sub(40);
    let places = |dbfs: f32| ((1.0 - dbfs / METER_FLOOR_DBFS).clamp(0.0, 1.0) * n_places as f32).round() as usize;
    let (full, peak) = (places(rms_dbfs), peak_dbfs.map_or(0, places));
    let bar = bar(full, peak, n_places, colours);
    buffer.set_stringn(area.x, area.y, format!("level [{bar}] {text}"), area.width.into(), Style::new());
}

/// `full` of `n` places, and a mark at the place `mark`, if that is not 0.
fn bar(full: usize, mark: usize, n: usize, colours: &Colours) -> String {
    let block = if colours.has_blocks { '█' } else { '#' };
    let place = |at: usize| match at {
        at if at == mark => '|',
        at if at <= full => block,
        _ => ' ',
    };
    (1..=n).map(place).collect()
}

/// Time goes to the right, frequency up. Two bands a row where the terminal has half blocks.
fn show_spectrogram(buffer: &mut Buffer, area: Rect, view: &View, colours: &Colours) {
    if view.centres_hz.is_empty() {
        return;
    }
    let two_a_row = colours.has_blocks && colours.depth != ColourDepth::None;
    let n_pixels = usize::from(area.height) * if two_a_row { 2 } else { 1 };
    let n_mels = view.centres_hz.len();
    for (row, y) in (area.y..area.y + area.height).enumerate() {
        let is_marked = row == 0 || row + 1 == usize::from(area.height) || row == usize::from(area.height) / 2;
        let band = n_mels - 1 - (row * n_mels / usize::from(area.height)).min(n_mels - 1);
        if is_marked {
            let text = format!("{:>width$}", hertz(view.centres_hz[band]), width = usize::from(AXIS_WIDTH) - 1);
            buffer.set_string(area.x, y, text, Style::new().add_modifier(Modifier::DIM));
        }
    }
    let n_columns = usize::from(area.width - AXIS_WIDTH);
    let shown: Vec<&[u8]> = view.columns.iter().rev().take(n_columns).map(AsRef::as_ref).collect();
    let (low, high) = range(&shown);
    let loudness = |column: &[u8], pixel: usize| {
        let from = n_mels * (n_pixels - 1 - pixel) / n_pixels;
        let to = (n_mels * (n_pixels - pixel) / n_pixels).max(from + 1);
        let loudest = column[from..to].iter().copied().max().unwrap_or_default();
        (f32::from(loudest) - low) / (high - low)
    };
    for (back, column) in shown.iter().enumerate() {
        let x = area.x + area.width - 1 - back as u16;
        for (row, y) in (area.y..area.y + area.height).enumerate() {
            let Some(cell) = buffer.cell_mut((x, y)) else { continue };
            match (colours.depth, two_a_row) {
                (ColourDepth::None, _) => {
                    cell.set_char(Colours::character(loudness(column, row)));
                }
                (_, true) => {
                    let [upper, lower] = [2 * row, 2 * row + 1].map(|pixel| colours.of(loudness(column, pixel)));
                    cell.set_char('▀').set_fg(upper).set_bg(lower);
                }
                (_, false) => {
                    cell.set_bg(colours.of(loudness(column, row)));
                }
            }
        }
    }
}

/// What is darkest and what is lightest: most of what is shown is background.
fn range(columns: &[&[u8]]) -> (f32, f32) {
    let mut counts = [0_usize; 256];
    columns.iter().flat_map(|column| column.iter()).for_each(|byte| counts[usize::from(*byte)] += 1);
    let n: usize = counts.iter().sum();
    let mut n_below = 0;
    let low = counts.iter().position(|count| {
        n_below += count;
        n_below * 4 > n
    });
    let low = low.unwrap_or_default();
    let high = counts.iter().rposition(|count| *count > 0).unwrap_or_default().max(low + usize::from(MIN_RANGE));
    (low as f32, high as f32)
}

fn hertz(hz: f64) -> String {
    if hz < 1000.0 { format!("{hz:.0}") } else { format!("{:.1}k", hz / 1000.0) }
}

/// Labels with their scores, and a mark at the threshold.
fn show_labels(buffer: &mut Buffer, area: Rect, view: &View, colours: &Colours) {
    let rows = view.rows();
    let chosen = rows.iter().position(|row| row.is_chosen).unwrap_or_default();
    let skip = (chosen + 1).saturating_sub(usize::from(area.height));
    let label_width = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or_default().min(18);
    // Mark, score, threshold and what separates them.
    let n_places = usize::from(area.width).saturating_sub(label_width + 16);
    for (row, y) in rows.iter().skip(skip).zip(area.y..area.y + area.height) {
        let Row { label, score, threshold, is_changed, is_chosen } = row;
        let places = |score: f32| (score.clamp(0.0, 1.0) * n_places as f32).round() as usize;
        let bar = bar(places(*score), threshold.map_or(0, |threshold| places(threshold).max(1)), n_places, colours);
        let limit = match threshold {
            Some(threshold) => format!("{threshold:.2}{}", if *is_changed { "*" } else { " " }),
            None => "never".into(),
        };
        let mark = if *is_chosen { '>' } else { ' ' };
        let label: String = label.chars().take(label_width).collect();
        let text = format!("{mark}{label:label_width$} [{bar}] {score:.2} {limit}");
        let sounds = threshold.is_some_and(|threshold| *score >= threshold);
        let style = match (sounds, *is_chosen) {
            (true, _) => Style::new().add_modifier(Modifier::BOLD),
            (false, true) => Style::new(),
            (false, false) if threshold.is_none() => Style::new().add_modifier(Modifier::DIM),
            (false, false) => Style::new(),
        };
        buffer.set_stringn(area.x, y, text, area.width.into(), style);
    }
}

/// The newest events first, in local time.
fn show_events(buffer: &mut Buffer, area: Rect, view: &View) {
    if view.events.is_empty() {
        buffer.set_stringn(area.x, area.y, "none yet", area.width.into(), Style::new().add_modifier(Modifier::DIM));
    }
    let zone = TimeZone::system();
    for (event, y) in view.events.iter().zip(area.y..area.y + area.height) {
        let time = event.onset.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string();
        let lasted = event.duration_s.map_or("ongoing".into(), |seconds| format!("{seconds:.1} s"));
        let style = match event.duration_s {
            None => Style::new().add_modifier(Modifier::BOLD),
            Some(_) => Style::new(),
        };
        let text = format!("{time} {} {lasted}", event.label);
        buffer.set_stringn(area.x, y, text, area.width.into(), style);
    }
}
