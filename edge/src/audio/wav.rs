//! The headers of WAV files and their kin, as they are and not as they should be: RIFF, RF64 and
//! BW64 (EBU Tech 3306, ITU-R BS.2088) and Sony's Wave64. What enters is a file, what leaves is
//! where its samples lie.
//!
//! Sizes in these headers are often wrong: a program that writes to a pipe cannot go back to fill
//! them in, a recorder loses its power, a tool copies a header. So they are believed only if they
//! fit the file: otherwise, the samples continue to the end of the file.

use std::io::{self, Read, Seek, SeekFrom};

/// The longest format chunk that is kept.
const MAX_FORMAT: u64 = 4096;

/// Sizes from here on are what programs write that do not know the size: 2^31 less a header
/// (arecord, sox), 2^32 - 1 (ffmpeg), and some less.
const PLACEHOLDER: u64 = 0x7f00_0000;

/// Length of the fields that every format chunk has.
const N_FIELDS: usize = 16;

/// What may follow the samples without a chunk around it, bytes: tags of 128, padding.
const MAX_JUNK: u64 = 4096;

/// A size that counts its header is this much too large at most, bytes.
const HEADER: u64 = 128;

/// Wave64 names chunks by GUIDs: those of chunks that RIFF has, too, begin with their name and end
/// so.
const WAVE64: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
/// The first one ends otherwise.
const WAVE64_RIFF: [u8; 16] = *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";

/// Where the samples of a file are, and what they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Samples {
    /// The body of the format chunk.
    pub(super) format: Vec<u8>,
    /// Their first byte in the file.
    pub(super) start: u64,
    /// How many bytes there are.
    pub(super) len: u64,
    /// How many the header promises, where it is plausible that they once were there.
    pub(super) promised: Option<u64>,
}

/// How a file lays out its chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Riff,
    Wave64,
}

struct Chunk {
    /// The first four bytes of its name.
    id: [u8; 4],
    /// Of its body.
    start: u64,
    len: u64,
}

impl Samples {
    /// Looks through the first chunks of `file`, which is `file_len` bytes long. `None` for what is
    /// not of these formats or has no samples: the decoder says what is wrong with it.
    pub(super) fn find(file: &mut (impl Read + Seek), file_len: u64) -> io::Result<Option<Self>> {
        file.seek(SeekFrom::Start(0))?;
        let mut head = [0; 12];
        if !read(file, &mut head)? {
            return Ok(None);
        }
        let (layout, mut at) = match (&head[..4], &head[8..]) {
            (b"RIFF" | b"RF64" | b"BW64", b"WAVE") => (Layout::Riff, 12),
            (b"riff", _) if head == WAVE64_RIFF[..12] => (Layout::Wave64, 40),
            _ => return Ok(None),
        };
        let (mut format, mut long_data_len) = (None, None);
        while let Some(chunk) = layout.chunk(file, at)? {
            match &chunk.id {
                b"fmt " if chunk.len <= MAX_FORMAT => {
                    let mut body = vec![0; chunk.len as usize];
                    format = read(file, &mut body)?.then_some(body);
                }
                b"ds64" => {
                    let mut body = [0; 16];
                    if read(file, &mut body)? {
                        long_data_len = Some(u64::from_le_bytes(body[8..].try_into().unwrap_or_default()));
                    }
                }
                b"data" => {
                    let Some(format) = format else { return Ok(None) };
                    // What does not fit into 32 bits is in the chunk before.
                    let declared = long_data_len.filter(|_| chunk.len == u64::from(u32::MAX)).unwrap_or(chunk.len);
                    let (start, there) = (chunk.start, file_len.saturating_sub(chunk.start));
                    let believed = declared <= there && layout.ends_well(file, start + declared, file_len)?;
                    let len = if believed { declared } else { there };
                    let is_placeholder = long_data_len != Some(declared) && declared >= PLACEHOLDER;
                    let is_cut = declared > there + HEADER && !is_placeholder;
                    return Ok(Some(Samples { format, start, len, promised: is_cut.then_some(declared) }));
                }
                _ => {}
            }
            at = layout.after(&chunk);
        }
        Ok(None)
    }

    /// A header with the true values, for the decoder. For samples of more than 4 GiB the header
    /// states no end.
    pub(super) fn header(&self) -> Vec<u8> {
        let long = u64::from(u32::MAX);
        let format = self.usual_format();
        let format_len = format.len().next_multiple_of(2) as u64;
        let size = |len: u64| (if len < long { len as u32 } else { u32::MAX }).to_le_bytes();
        let mut header = Vec::with_capacity(format.len() + 32);
        header.extend_from_slice(b"RIFF");
        header.extend_from_slice(&size(4 + 8 + format_len + 8 + self.len));
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&(format.len() as u32).to_le_bytes());
        header.extend_from_slice(&format);
        header.resize(20 + format_len as usize, 0);
        header.extend_from_slice(b"data");
        header.extend_from_slice(&size(self.len));
        header
    }

    /// The format as the decoder wants it. What follows the fields of plain integers means nothing,
    /// and integers of 12 or 20 bits fill the bytes that they are in from above, as whole ones do.
    fn usual_format(&self) -> Vec<u8> {
        let mut format = self.format.clone();
        let field = |at: usize| format.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let (code, n_channels, block, bits) = (field(0), field(2), field(12), field(14));
        if code != 1 || format.len() < N_FIELDS {
            return format;
        }
        format.truncate(N_FIELDS);
        if let Some(n_bytes @ 1..=4) = block.checked_div(n_channels)
            && (bits % 8 != 0 || bits == 0)
        {
            format[14..].copy_from_slice(&(8 * n_bytes).to_le_bytes());
        }
        format
    }

    /// The code of the encoding: 1 for integers, 3 for floats.
    pub(super) fn encoding(&self) -> u16 {
        let at = |at: usize| self.format.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        // WAVE_FORMAT_EXTENSIBLE: the code is the beginning of a GUID.
        if at(0) == 0xfffe { at(24) } else { at(0) }
    }

    /// Bytes a second.
    pub(super) fn byte_rate(&self) -> u32 {
        self.format.get(8..12).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
}

impl Layout {
    /// The chunk whose header is at `at`, with its body as what is read next.
    fn chunk(self, file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<Chunk>> {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 24];
        let n = if self == Layout::Riff { 8 } else { 24 };
        if !read(file, &mut head[..n])? {
            return Ok(None);
        }
        let id = [head[0], head[1], head[2], head[3]];
        let len = match self {
            Layout::Riff => u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]])),
            // The size counts the header.
            Layout::Wave64 => u64::from_le_bytes(head[16..].try_into().unwrap_or_default()).saturating_sub(24),
        };
        let is_known = self == Layout::Riff || head[4..16] == WAVE64;
        Ok(Some(Chunk { id: if is_known { id } else { *b"none" }, start: at + n as u64, len }))
    }

    /// Where the next chunk begins.
    fn after(self, chunk: &Chunk) -> u64 {
        let even = if self == Layout::Riff { 2 } else { 8 };
        chunk.start.saturating_add(chunk.len).checked_next_multiple_of(even).unwrap_or(u64::MAX)
    }

    /// Whether the samples may end at `at`: the file does, or what follows are chunks to its end,
    /// or it is too little to be missed.
    fn ends_well(self, file: &mut (impl Read + Seek), at: u64, file_len: u64) -> io::Result<bool> {
        if file_len.saturating_sub(at) <= 1 {
            return Ok(true);
        }
        let mut next = self.after(&Chunk { id: *b"data", start: at, len: 0 });
        while let Some(chunk) = self.chunk(file, next)? {
            let is_name = chunk.id.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
            next = self.after(&chunk);
            if !is_name || next > file_len + 1 {
                // Tags and padding are short, and come after much more sound.
                return Ok(file_len - at <= MAX_JUNK && at > HEADER + MAX_JUNK);
            }
        }
        Ok(true)
    }
}

/// Fills `buffer`, or returns `false` at the end of the file.
fn read(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const FORMAT: [u8; 16] = [1, 0, 1, 0, 0xc0, 0x5d, 0, 0, 0x80, 0xbb, 0, 0, 2, 0, 16, 0];

    /// A file with `n` bytes of samples, whose header gives these sizes, and what follows them.
    fn file(riff_len: u32, data_len: u32, n: usize, behind: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(riff_len.to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0");
        bytes.extend(FORMAT);
        bytes.extend(b"data");
        bytes.extend(data_len.to_le_bytes());
        bytes.extend((0..n).map(|at| (at * 31 % 251) as u8));
        bytes.extend(behind);
        bytes
    }

    fn find(bytes: &[u8]) -> Option<Samples> {
        Samples::find(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    fn len(bytes: &[u8]) -> (u64, Option<u64>) {
        find(bytes).map(|samples| (samples.len, samples.promised)).unwrap()
    }

    #[test]
    fn sizes_that_cannot_be_true_mean_to_the_end_of_the_file() {
        let n = 96_000;
        for riff_len in [0, 36, n as u32 + 36, 8, u32::MAX, 123_456] {
            for data_len in [0, n as u32, n as u32 + 44, 48_000, 10, 0x7fff_ffff, 0x8000_0000, u32::MAX - 36, u32::MAX]
            {
                assert_eq!(len(&file(riff_len, data_len, n, &[])), (n as u64, None), "{riff_len} {data_len}");
            }
            assert_eq!(len(&file(riff_len, 2 * n as u32, n, &[])), (n as u64, Some(2 * n as u64)), "cut in half");
        }
    }

    #[test]
    fn what_follows_the_samples_is_not_samples() {
        let list = b"LIST\x04\0\0\0INFOid3 \x03\0\0\0abc\0";
        assert_eq!(len(&file(0, 96_000, 96_000, list)), (96_000, None));
        assert_eq!(len(&file(0, 96_000, 96_000, &[b'T'; 128])), (96_000, None));
        // Nothing was recorded.
        assert_eq!(len(&file(36, 0, 0, &[])), (0, None));
        assert_eq!(len(&file(36, 0, 0, list)), (0, None));
    }

    #[test]
    fn long_files_say_so_in_a_chunk_of_their_own() {
        let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
        bytes.extend(1000_u64.to_le_bytes());
        bytes.extend(400_u64.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(b"fmt \x10\0\0\0");
        bytes.extend(FORMAT);
        bytes.extend(b"data\xff\xff\xff\xff");
        bytes.extend([7; 400]);
        bytes.extend(b"LIST\x04\0\0\0INFO");
        assert_eq!(len(&bytes), (400, None));
        bytes[..4].copy_from_slice(b"BW64");
        assert_eq!(len(&bytes), (400, None));
    }

    #[test]
    fn wave64_is_read() {
        let guid = |name: &[u8; 4]| [&name[..], &WAVE64].concat();
        let mut bytes = WAVE64_RIFF.to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(guid(b"wave"));
        bytes.extend(guid(b"fmt "));
        bytes.extend(40_u64.to_le_bytes());
        bytes.extend(FORMAT);
        bytes.extend(guid(b"data"));
        bytes.extend(424_u64.to_le_bytes());
        bytes.extend([7; 400]);
        let samples = find(&bytes).unwrap();
        assert_eq!((samples.format.as_slice(), samples.len, samples.encoding()), (&FORMAT[..], 400, 1));
    }

    #[test]
    fn the_header_for_the_decoder_is_true() {
        let bytes = file(1, 2, 1000, &[]);
        let samples = find(&bytes).unwrap();
        let fixed = [samples.header(), bytes[samples.start as usize..].to_vec()].concat();
        assert_eq!(fixed, file(1036, 1000, 1000, &[]));
    }

    #[test]
    fn integers_of_any_width_are_those_of_their_bytes() {
        let with_format = |format: &[u8]| {
            let len = (format.len() as u32).to_le_bytes();
            let even = vec![0; format.len() % 2];
            [b"RIFF\0\0\0\0WAVEfmt ", &len[..], format, &even, b"data\0\0\0\0", &[0; 1000]].concat()
        };
        // Fields that nobody needs, and 12 bits in two bytes.
        let mut narrow = FORMAT;
        narrow[14] = 12;
        for format in [&[&FORMAT[..], &[0]].concat()[..], &[&FORMAT[..], &[0; 8]].concat(), &narrow] {
            assert_eq!(find(&with_format(format)).unwrap().header(), file(1036, 1000, 0, &[]));
        }
    }

    #[test]
    fn other_files_are_left_to_the_decoder() {
        for bytes in
            [&b""[..], b"RIFF", b"RIFF\0\0\0\0AVI LIST", b"fLaC\0\0\0\x22", b"RIFF\0\0\0\0WAVEdata\0\0\0\0", &[0; 64]]
        {
            assert_eq!(find(bytes), None);
        }
    }
}
