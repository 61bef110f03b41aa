use super::machine::parse;
use super::tensors::tensor;
use super::value::Value;
use super::*;

fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// `_rebuild_tensor_v2(storage of n floats, offset, shape, strides)` as opcodes; all numbers below
/// 256.
fn tensor_opcodes(n: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let mut bytes =
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK"
            .to_vec();
    bytes.extend([n, b't', b'Q', b'K', offset]);
    for sizes in [shape, strides] {
        bytes.push(b'(');
        bytes.extend(sizes.iter().flat_map(|&n| [b'K', n]));
        bytes.push(b't');
    }
    bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    bytes
}

#[test]
fn integers_have_the_sign_that_the_protocol_says() {
    let cases: [(&[u8], i64); 8] = [
        (b"K\xff", 255),
        (b"M\xff\xff", 65535),
        (b"J\xff\xff\xff\xff", -1),
        (b"\x8a\x00", 0),
        (b"\x8a\x01\xff", -1),
        (b"\x8a\x02\xff\x00", 255),
        (b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", i64::MAX),
        (b"\x8b\x01\0\0\0\x80", -128),
    ];
    for (bytes, expected) in cases {
        let pickle = parse(&[bytes, b"."].concat()).unwrap();
        assert_eq!(pickle.values[pickle.root], Value::Int(expected), "{bytes:?}");
        assert_eq!(pickle.length, bytes.len() + 1);
    }
}

#[test]
fn a_container_is_the_same_wherever_it_is_recalled() {
    // d = {}; [d, d] is kept while d gets its entry through the second.
    let pickle = parse(b"](}q\x00h\x00X\x01\0\0\0aK\x07se.").unwrap();
    let items = pickle.sequence(pickle.root).unwrap();
    assert_eq!(items[0], items[1]);
    assert_eq!(pickle.values[pickle.entry(items[0], "a").unwrap()], Value::Int(7));
}

#[test]
fn what_lies_below_a_mark_is_out_of_reach() {
    for bytes in [&b"K\x01(0."[..], b"}(K\x01s.", b"K\x01(\x85.", b"(.", b"K\x01(q\x00.", b"t.", b"s."] {
        assert!(parse(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn errors_say_where() {
    assert_eq!(parse(b"\x80\x02}X\x09\0\0\0abc").unwrap_err(), "is truncated (byte 8 of the pickle)");
    assert_eq!(parse(b"\x80\x02I1\n.").unwrap_err(), "opcode 0x49 is not supported (byte 3 of the pickle)");
}

#[test]
fn nothing_is_called() {
    let pickle = parse(b"cos\nsystem\n(X\x04\0\0\0truetR.").unwrap();
    assert!(matches!(pickle.values[pickle.root], Value::Call { .. }));
    assert_eq!(tensor(&pickle, pickle.root), Ok(None));
}

#[test]
fn tensors_lie_in_their_storage() {
    let describe = |n, offset, shape: &[u8], strides: &[u8]| {
        let pickle = parse(&[tensor_opcodes(n, offset, shape, strides), b".".to_vec()].concat()).unwrap();
        tensor(&pickle, pickle.root).map(|layout| layout.unwrap().n_elements())
    };
    assert_eq!(describe(6, 0, &[2, 3], &[3, 1]), Ok(Some(6)));
    assert_eq!(describe(6, 5, &[], &[]), Ok(Some(1)));
    assert_eq!(describe(6, 9, &[0, 3], &[3, 1]), Ok(Some(0)));
    for (n, offset, shape, strides) in
        [(5, 0, &[2, 3][..], &[3, 1][..]), (6, 1, &[2, 3], &[3, 1]), (6, 6, &[], &[]), (6, 0, &[2], &[1, 1])]
    {
        let message = describe(n, offset, shape, strides).unwrap_err();
        assert!(message.starts_with("does not lie in its storage"), "{message}");
    }
    assert!(describe(6, 0, &[1; 65], &[1; 65]).is_err());
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    // One element seen as 255^7 of them, in the old format.
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    bytes.extend(b"\x80\x02}X\x01\0\0\0w");
    bytes.extend(tensor_opcodes(1, 0, &[255; 7], &[0; 7]));
    bytes.extend(b"s.\x80\x02](X\x01\0\0\x000e.\x01\0\0\0\0\0\0\0\0\0\x80\x3f");
    let (_folder, path) = written(&bytes);
    let message = read_state_dict(&path).unwrap_err().to_string();
    assert!(message.contains("much larger than the file"), "{message}");

    // Sizes that only the file's words bear out.
    for bytes in [
        &b"\x80\x02X\xff\xff\xff\xff"[..],
        b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\x02\x8b\xff\xff\xff\x7f",
    ] {
        let (_folder, path) = written(bytes);
        assert!(read_state_dict(&path).unwrap_err().to_string().contains("is truncated"));
    }
}

#[test]
fn wrappers_that_contain_themselves_end() {
    // a = [_]; p = _rebuild_parameter(*a); a[0] is p.
    let pickle = parse(b"}X\x01\0\0\0wctorch._utils\n_rebuild_parameter\n]q\x00Rq\x01h\x00h\x01a0s.").unwrap();
    let id = pickle.entry(pickle.root, "w").unwrap();
    assert_eq!(tensor(&pickle, id), Err("is wrapped too often".to_owned()));
}

#[test]
fn the_legacy_element_sizes_are_checked() {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    bytes.extend(b"\x80\x02}X\x01\0\0\0w");
    bytes.extend(tensor_opcodes(2, 0, &[2], &[1]));
    bytes.extend(b"s.\x80\x02](X\x01\0\0\x000e.");
    for (count, n_bytes, reason) in [
        (3u64, 12, "storage \"0\" has 3 elements, expected 2"),
        (2, 7, "is truncated: storage \"0\" has 8 bytes, 7 are left"),
    ] {
        let (_folder, path) = written(&[&bytes[..], &count.to_le_bytes(), &vec![0; n_bytes]].concat());
        let message = read_state_dict(&path).unwrap_err().to_string();
        assert!(message.ends_with(reason), "{message}");
    }
    let (_folder, path) = written(&[&bytes[..], &2u64.to_le_bytes(), &[0; 8]].concat());
    assert_eq!(read_state_dict(&path).unwrap()["w"].size(), [2]);
    // Big-endian.
    let at = bytes.windows(4).position(|w| w == b"\x80\x02}.").unwrap();
    bytes.splice(at + 3..at + 3, b"X\x0d\0\0\0little_endian\x89s".iter().copied());
    let (_folder, path) = written(&bytes);
    assert!(read_state_dict(&path).unwrap_err().to_string().ends_with("is big-endian"));
}
