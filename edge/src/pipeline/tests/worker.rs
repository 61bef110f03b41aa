//! The worker: sources and scripted sessions enter, the chain's transitions leave on a channel.

use jiff::Timestamp;

use super::*;

fn write_wav(path: &std::path::Path, rate: u32, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|&x| writer.write_sample(x).unwrap());
    writer.finalize().unwrap();
}

/// A worker that listens to the file at `path`, and what it hears.
fn listen(
    path: &std::path::Path,
    fast: bool,
    chain: Chain,
    shared: &WorkerShared,
    stop: &Arc<AtomicBool>,
) -> (Worker, Receiver<Transition>) {
    let source = start(
        &SourceSpec::File(FileSpec { path: path.to_path_buf() }),
        &SourceOptions { fast, ..SourceOptions::default() },
        &FrontendConfig::student(),
        &shared.status,
        &shared.hearing,
    )
    .unwrap();
    let (sender, heard) = channel();
    let worker = Worker::spawn(source, chain, shared.clone(), stop.clone(), move |transition| {
        sender.send(transition).unwrap();
    });
    (worker.unwrap(), heard)
}

#[test]
fn the_worker_hears_a_file_from_end_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let mut samples = scene(48_000, 6.0, &[(2.0, 3.5)]);
    let wanted = recognise(48_000, &samples);
    samples[48_000] = f32::NAN;
    write_wav(&path, 48_000, &samples);

    let (chain, status) = chain(48_000);
    let shared = WorkerShared { clock: Arc::new(Clock::starting_at(Timestamp::UNIX_EPOCH)), ..of(&status) };
    let (worker, heard) = listen(&path, true, chain, &shared, &Arc::default());
    let transitions: Vec<_> = heard.iter().collect();
    worker.join().unwrap();
    assert_eq!(events(&transitions), events(&wanted));
    let snapshot = status.snapshot();
    assert_eq!((snapshot.n_samples, snapshot.n_non_finite, snapshot.n_gaps), (48_000 * 6, 1, 0));
    assert!(snapshot.n_frames >= 598, "{snapshot:?}");
    assert!(shared.clock.wall_time(0.0) > Timestamp::UNIX_EPOCH, "the first samples anchor the clock");
}

#[test]
fn the_worker_stops_when_told_and_closes_what_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    write_wav(&path, 16_000, &scene(16_000, 60.0, &[(0.5, 60.0)]));
    let (chain, status) = chain(16_000);
    let stop = Arc::new(AtomicBool::new(false));
    let (worker, heard) = listen(&path, false, chain, &of(&status), &stop);
    let onset = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(onset.phase, Phase::Onset);
    stop.store(true, Ordering::Relaxed);
    let offset = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((offset.phase, offset.t_onset_s), (Phase::Offset, onset.t_onset_s));
    worker.join().unwrap();
}

#[test]
fn an_error_of_the_source_ends_the_worker_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    write_wav(&path, 16_000, &[]);
    let (chain, status) = chain(16_000);
    let (worker, heard) = listen(&path, true, chain, &of(&status), &Arc::default());
    assert!(heard.recv().is_err());
    assert!(worker.join().unwrap_err().to_string().contains("contains no audio"));
}

/// What happens to a live source.
#[derive(Debug, Clone)]
enum Fate {
    /// So many tenths of a second of sound.
    Sound(u8),
    /// So many tenths of a second are lost in the device.
    Lost(u8),
    /// It is closed, and opened again at one of some rates.
    Reopened(u8),
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => (1..20_u8).prop_map(Fate::Sound),
        1 => (1..40_u8).prop_map(Fate::Lost),
        1 => (0..3_u8).prop_map(Fate::Reopened),
    ];
    proptest::collection::vec(fate, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn stream_time_is_the_sum_of_all_sessions_and_events_lie_within_their_session(fates in fates()) {
        const RATES: [u32; 3] = [16_000, 24_000, 48_000];
        let (chain, status) = chain(RATES[0]);
        let (sender, sessions) = channel();
        let source = Source::scripted(sessions);
        let (mut rate, mut writer, mut t_s) = (RATES[0], None::<crate::ring::Writer>, 0.0);
        // Ends of the sessions in stream time.
        let mut ends = vec![0.0];
        let long = fates.iter().any(|fate| matches!(fate, Fate::Sound(10..)));
        for fate in fates {
            let open = writer.get_or_insert_with(|| {
                let (writer, reader) = crate::ring::ring(rate as usize * 100, status.clone());
                sender.send(session(rate, Content::Samples, reader)).unwrap();
                writer
            });
            match fate {
                Fate::Sound(tenths) => {
                    let samples = noise(rate as usize * usize::from(tenths) / 10);
                    open.write(&samples);
                    t_s += f64::from(tenths) / 10.0;
                }
                Fate::Lost(tenths) => {
                    open.mark_gap(u64::from(rate) * u64::from(tenths) / 10);
                    t_s += f64::from(tenths) / 10.0;
                }
                Fate::Reopened(which) => {
                    writer = None;
                    rate = RATES[usize::from(which)];
                    ends.push(t_s);
                }
            }
        }
        drop(writer);
        drop(sender);
        ends.push(t_s);

        let mut transitions = Vec::new();
        run(source, chain, &of(&status), &AtomicBool::new(false), &mut |transition| transitions.push(transition)).unwrap();
        for (onset_s, offset_s) in events(&transitions) {
            let session = ends.windows(2).find(|ends| onset_s >= ends[0] - 1e-6 && offset_s <= ends[1] + 1e-6);
            prop_assert!(session.is_some(), "{onset_s} to {offset_s} s is in no session of {ends:?}");
        }
        prop_assert!(!long || !transitions.is_empty(), "a second of noise is an event");
    }
}
