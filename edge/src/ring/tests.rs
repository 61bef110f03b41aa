//! Whatever is written, read and dropped, stream time stays exact.

use proptest::prelude::*;

use super::*;

fn new(capacity: usize) -> (Writer, Reader, Arc<Status>) {
    let status = Arc::new(Status::default());
    let (writer, reader) = ring(capacity, status.clone());
    (writer, reader, status)
}

/// Everything that can be read now: stored samples, and a NaN for each missing one.
fn read_all(reader: &mut Reader, buffer_len: usize, stream: &mut Vec<f32>) -> bool {
    let mut buffer = vec![0.0; buffer_len];
    loop {
        match reader.read(&mut buffer) {
            Chunk::Samples(n) => stream.extend(&buffer[..n]),
            Chunk::Gap(n) => stream.extend(std::iter::repeat_n(f32::NAN, n as usize)),
            Chunk::Empty => return false,
            Chunk::Ended => return true,
        }
    }
}

#[test]
fn a_gap_lies_where_the_samples_are_missing() {
    let (mut writer, mut reader, status) = new(4);
    let mut buffer = [0.0; 8];
    writer.write(&[1.0, 2.0, 3.0]);
    writer.write(&[4.0, 5.0, 6.0]);
    writer.write(&[7.0]);
    assert_eq!(reader.read(&mut buffer), Chunk::Samples(4));
    writer.write(&[8.0, 9.0]);
    assert_eq!(reader.read(&mut buffer), Chunk::Gap(3));
    assert_eq!(reader.read(&mut buffer), Chunk::Samples(2));
    assert_eq!(buffer[..2], [8.0, 9.0]);
    assert_eq!(reader.read(&mut buffer), Chunk::Empty);
    drop(writer);
    assert_eq!(reader.read(&mut buffer), Chunk::Ended);
    let snapshot = status.snapshot();
    assert_eq!((snapshot.n_overruns, snapshot.n_dropped), (1, 3));
}

#[test]
fn an_overrun_lasts_until_half_of_the_ring_is_free() {
    let (mut writer, mut reader, status) = new(8);
    writer.write(&[0.0; 9]);
    assert_eq!(reader.read(&mut [0.0; 3]), Chunk::Samples(3));
    writer.write(&[0.0; 1]);
    assert_eq!(reader.read(&mut [0.0; 1]), Chunk::Samples(1));
    writer.write(&[0.5; 1]);
    let mut stream = Vec::new();
    read_all(&mut reader, 8, &mut stream);
    assert!(stream[4..6].iter().all(|x| x.is_nan()), "{stream:?}");
    assert_eq!(stream[6], 0.5);
    assert_eq!((status.snapshot().n_overruns, status.snapshot().n_dropped), (1, 2));
}

#[test]
fn a_gap_at_the_end_is_not_forgotten() {
    let (mut writer, mut reader, _) = new(2);
    writer.write(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    drop(writer);
    let mut buffer = [0.0; 8];
    assert_eq!(reader.read(&mut buffer), Chunk::Samples(2));
    assert_eq!(reader.read(&mut buffer), Chunk::Gap(3));
    assert_eq!(reader.read(&mut buffer), Chunk::Ended);
    assert_eq!(reader.read(&mut buffer), Chunk::Ended);
}

#[test]
fn a_stream_can_be_ended_while_its_writer_hangs() {
    let (mut writer, mut reader, _) = new(8);
    let closer = writer.closer();
    writer.write(&[1.0, 2.0]);
    assert!(!reader.is_closed());
    closer.close();
    let mut stream = Vec::new();
    assert!(read_all(&mut reader, 8, &mut stream));
    assert_eq!(stream, [1.0, 2.0]);
    drop(writer);
}

#[test]
fn a_blocking_writer_loses_nothing_and_notices_that_nobody_listens() {
    let (mut writer, mut reader, status) = new(16);
    let stop = AtomicBool::new(false);
    let sent: Vec<f32> = (0..5_000).map(|n| n as f32).collect();
    let mut received = Vec::new();
    thread::scope(|scope| {
        let sent = &sent;
        scope.spawn(move || {
            let stop = AtomicBool::new(false);
            sent.chunks(37).for_each(|block| assert!(writer.write_blocking(block, &stop)));
        });
        while !read_all(&mut reader, 7, &mut received) {
            thread::yield_now();
        }
    });
    assert_eq!(received, sent);
    assert_eq!(status.snapshot().n_overruns, 0);

    let (mut writer, reader, _) = new(16);
    drop(reader);
    assert!(!writer.write_blocking(&[0.0; 8], &stop));
    let (mut writer, _reader, _) = new(16);
    stop.store(true, Ordering::Relaxed);
    assert!(!writer.write_blocking(&[0.0; 8], &stop));
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    MarkGap(u64),
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..40).prop_map(Step::Write),
        1 => (0_u64..9).prop_map(Step::MarkGap),
        4 => (1_usize..40).prop_map(Step::Read),
    ];
    proptest::collection::vec(step, 0..400)
}

proptest! {
    /// Sample number n has the value n, so a stream is right when each of its places holds its own
    /// index or is missing.
    #[test]
    fn stream_time_is_exact_whatever_happens(capacity in 1_usize..64, steps in steps()) {
        let (mut writer, mut reader, status) = new(capacity);
        let mut n_written = 0_u64;
        let mut n_lost = 0_u64;
        let mut stream = Vec::new();
        for step in steps {
            match step {
                Step::Write(n) => {
                    let block: Vec<f32> = (n_written..n_written + n as u64).map(|n| n as f32).collect();
                    writer.write(&block);
                    n_written += n as u64;
                }
                Step::MarkGap(n) => {
                    writer.mark_gap(n);
                    n_written += n;
                    n_lost += n;
                }
                Step::Read(n) => {
                    let mut buffer = vec![0.0; n];
                    match reader.read(&mut buffer) {
                        Chunk::Samples(n) => stream.extend(&buffer[..n]),
                        Chunk::Gap(n) => stream.extend(std::iter::repeat_n(f32::NAN, n as usize)),
                        Chunk::Empty => {}
                        Chunk::Ended => prop_assert!(false, "ended while the writer is alive"),
                    }
                }
            }
        }
        drop(writer);
        prop_assert!(read_all(&mut reader, 5, &mut stream));
        prop_assert_eq!(stream.len() as u64, n_written);
        for (index, x) in stream.iter().enumerate() {
            prop_assert!(x.is_nan() || *x == index as f32, "place {} holds {}", index, x);
        }
        let n_missing = stream.iter().filter(|x| x.is_nan()).count() as u64;
        prop_assert_eq!(n_missing, status.snapshot().n_dropped + n_lost);
    }

    /// The same across two threads, where the interleaving is the scheduler's.
    #[test]
    fn stream_time_is_exact_across_threads(
        capacity in 1_usize..200,
        block_len in 1_usize..60,
        buffer_len in 1_usize..60,
    ) {
        const N_WRITTEN: usize = 20_000;
        let (mut writer, mut reader, status) = new(capacity);
        let mut stream = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || {
                let all: Vec<f32> = (0..N_WRITTEN).map(|n| n as f32).collect();
                all.chunks(block_len).for_each(|block| writer.write(block));
            });
            while !read_all(&mut reader, buffer_len, &mut stream) {
                std::hint::spin_loop();
            }
        });
        prop_assert_eq!(stream.len(), N_WRITTEN);
        for (index, x) in stream.iter().enumerate() {
            prop_assert!(x.is_nan() || *x == index as f32, "place {} holds {}", index, x);
        }
        let n_missing = stream.iter().filter(|x| x.is_nan()).count() as u64;
        prop_assert_eq!(n_missing, status.snapshot().n_dropped);
    }
}
