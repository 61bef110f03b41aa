//! The drawings as a program reads them: what must be in them is, and where it must be.

use std::f64::consts::TAU;

use edge_frontend::FrontendConfig;

use super::*;
use crate::testing::{detection, sound};
use crate::{Detection, Evaluation, N_OPERATING_POINTS};

fn labels() -> Vec<String> {
    ["bell", "door <front>", "tap"].map(str::to_string).to_vec()
}

/// The texts of a document, in order. Every `<` of a text is escaped.
fn texts(svg: &str) -> Vec<String> {
    let parts = svg.split("<text").skip(1).map(|part| part.split_once('>').unwrap().1);
    parts
        .map(|part| {
            part.split_once('<').unwrap().0.trim().replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'")
        })
        .collect()
}

fn assert_texts(svg: &str, expected: &[&str]) {
    let texts = texts(svg);
    for text in expected {
        assert!(texts.iter().any(|found| found == text), "{text:?} is missing from {texts:?}");
    }
}

#[test]
fn curves_are_of_all_classes_and_of_those_with_the_most_sounds() {
    let labels = labels();
    let truth = [vec![sound(0, 1.0, 2.0), sound(1, 3.0, 4.0), sound(1, 8.0, 9.0)]];
    let strict = vec![detection(1, 3.0, 4.0)];
    let loose = vec![detection(1, 3.0, 4.0), detection(1, 7.0, 9.0), detection(0, 20.0, 21.0), detection(2, 5.0, 6.0)];
    let points: Vec<Vec<Vec<Detection>>> =
        (0..N_OPERATING_POINTS).map(|at| vec![if at < 25 { loose.clone() } else { strict.clone() }]).collect();
    let detections = [strict];
    let evaluation = Evaluation {
        labels: &labels,
        background: None,
        truth: &truth,
        detections: &detections,
        duration_s: &[1800.0],
        points: &points,
    };
    let Curves { detection_error: error, precision_recall: precision, hours } = Curves::of(&evaluation);
    assert_eq!(hours, 0.5);
    let names = |series: &[Series]| series.iter().map(|series| series.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&error), ["all classes", "door <front>", "bell"]);
    assert_eq!((error[0].points[0], error[0].points[49]), ((4.0, 1.0 - 2.0 / 3.0), (0.0, 1.0 - 1.0 / 3.0)));
    assert_eq!((error[0].mark, error[1].mark), (Some(error[0].points[49]), Some((0.0, 0.5))));
    // Of four events one is right; of the strict one all are.
    assert_eq!((precision[0].points[0], precision[0].mark), ((1.0 / 3.0, 0.25), Some((1.0 / 3.0, 1.0))));
    // The bell is never hit.
    assert_eq!((precision[2].points.len(), precision[2].mark), (0, None));
    let svg = detection_error(&error, hours).unwrap();
    assert_texts(&svg, &["all classes", "door <front>", "bell", "sounds not found, %", "the model's own thresholds"]);
    assert_texts(&precision_recall(&precision).unwrap(), &["door <front>", "precision: events that are right, %"]);
}

#[test]
fn the_matrix_has_the_classes_that_are_there_and_nothing() {
    let matrix = vec![vec![7, 0, 0, 2], vec![0; 4], vec![1, 0, 11, 0], vec![0, 0, 3, 0]];
    let svg = confusion_matrix(&labels(), &matrix).unwrap();
    let texts = texts(&svg);
    let count = |text: &str| texts.iter().filter(|found| *found == text).count();
    assert_eq!((count("bell"), count("tap"), count("nothing"), count("door <front>")), (2, 2, 2, 0));
    assert!(["7", "2", "1", "11", "3"].iter().all(|n| count(n) == 1), "{texts:?}");
    assert_eq!(count("0"), 0);
}

/// Of 4 s with a tone of 2 kHz in the second one.
fn tone_spectrogram() -> Spectrogram {
    let value = |at: u32| match at {
        24_000..48_000 => ((f64::from(at) * 2000.0 * TAU / 24e3).sin() * 0.25) as f32,
        _ => 0.0,
    };
    let samples: Vec<f32> = (0..4 * 24_000).map(value).collect();
    let mut blocks = samples.chunks(1000);
    let next_block = |block: &mut Vec<f32>| {
        block.clear();
        let next = blocks.next();
        block.extend_from_slice(next.unwrap_or_default());
        Ok::<_, Error>(next.is_some())
    };
    Spectrogram::of(&FrontendConfig::student(), 24_000, next_block).unwrap()
}

#[test]
fn a_tone_is_a_bright_line_at_its_time_and_frequency() {
    use base64::Engine as _;
    let spectrogram = tone_spectrogram();
    let (uri, end_s) = spectrogram.picture(0.0, 60.0).unwrap().unwrap();
    assert!((end_s - 4.0).abs() < 0.1, "{end_s}");
    assert_eq!(spectrogram.picture(60.0, 120.0).unwrap(), None);
    let text = uri.strip_prefix("data:image/png;base64,").unwrap();
    let bytes = base64::prelude::BASE64_STANDARD.decode(text).unwrap();
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    assert_eq!(height, 64);
    let brightest = |column: usize| {
        let shades = (0..height).map(|row| (pixels[row * width + column], row));
        shades.max_by_key(|(shade, _)| *shade).unwrap()
    };
    let column = |t_s: f64| (t_s / end_s * width as f64) as usize;
    assert!(brightest(column(0.5)).0 < 30 && brightest(column(3.0)).0 < 30);
    let (shade, row) = brightest(column(1.5));
    let (height_2k, _) = spectrogram.ticks().iter().find(|(_, hz)| *hz == 2000.0).unwrap();
    let row_2k = (1.0 - height_2k) * 64.0 - 0.5;
    assert!(shade > 250 && (row as f64 - row_2k).abs() < 1.5, "{shade} in row {row}, 2 kHz is {row_2k}");
}

#[test]
fn a_timeline_shows_each_page_what_is_on_it_and_knows_its_errors() {
    let spectrogram = tone_spectrogram();
    let labels = labels();
    let truth = [sound(0, 1.0, 3.0), sound(1, 50.0, 65.0), sound(2, 70.0, 72.0), sound(2, 80.0, 84.0)];
    let detections =
        [detection(0, 1.0, 3.0), detection(1, 57.0, 62.0), detection(2, 80.5, 84.0), detection(0, 100.0, 104.0)];
    let timeline = Timeline::new("tone.wav", &labels, &truth, &detections, 130.0, &spectrogram);
    assert_eq!(timeline.n_pages(), 3);
    assert_eq!([0, 1, 2].map(|page| timeline.n_errors(page)), [0, 2, 0]);
    let pages = [0, 1, 2].map(|page| timeline.page(page).unwrap());
    let lanes = |page: &str| texts(page).into_iter().filter(|text| labels.contains(text)).collect::<Vec<_>>();
    assert_eq!(lanes(&pages[0]), ["bell", "door <front>"]);
    assert_eq!(lanes(&pages[1]), ["door <front>", "tap", "bell"]);
    assert_eq!(lanes(&pages[2]), Vec::<String>::new());
    assert_texts(&pages[0], &["tone.wav, 0:00 to 1:00", "0:50", "2k"]);
    assert_texts(&pages[2], &["tone.wav, 2:00 to 2:10", "nothing is there, nothing was reported"]);
    assert!(pages[0].contains("<image") && !pages[1].contains("<image"), "the recording has 4 s of sound");
    // Bars by colour: legend and lanes.
    let bars = |page: &str, colour: RGBColor| {
        let (r, g, b) = (colour.0, colour.1, colour.2);
        page.matches(&format!("fill=\"#{r:02X}{g:02X}{b:02X}\" stroke=\"none\"")).count() - 1
    };
    let (hit, inexact, wrong) = (COLOURS[3], COLOURS[5], COLOURS[2]);
    assert_eq!([hit, inexact, wrong].map(|colour| bars(&pages[0], colour)), [1, 1, 0]);
    assert_eq!([hit, inexact, wrong].map(|colour| bars(&pages[1], colour)), [0, 2, 1]);
}

#[test]
fn of_a_long_recording_the_pages_with_the_most_errors_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let labels = labels();
    let audio = [dir.path().join("tone.wav")];
    let out = dir.path().join("plots");
    let detections = [[1770.0, 1800.5, 1900.0].map(|t_s| detection(0, t_s, t_s + 1.0)).to_vec()];
    let evaluation = Evaluation {
        labels: &labels,
        background: None,
        truth: &[vec![]],
        detections: &detections,
        duration_s: &[1920.0],
        points: &[],
    };
    let drawn = write(&out, &evaluation, &audio, |_| Ok::<_, Error>(tone_spectrogram())).unwrap();
    let names: Vec<String> =
        drawn.files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_string()).collect();
    assert_eq!((names.len(), drawn.n_left_out), (21, 12));
    assert_eq!((names[0].as_str(), names[1].as_str()), ("confusion.svg", "timeline-01-tone-000.svg"));
    assert_eq!(names[18..], [29, 30, 31].map(|page| format!("timeline-01-tone-{page:03}.svg")));
    assert!(drawn.files.iter().all(|file| file.is_file()));
}
