#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::format::Format;
use super::*;
use proptest::prelude::*;

fn layout() -> Layout {
    Format::of((3, 11)).unwrap().layout()
}

/// A code object as 3.11 writes it, with these constants; names, tables and code are empty.
fn code(mark: u8, consts: &[u8]) -> Vec<u8> {
    let mut code = vec![b'c' | mark];
    code.extend([0; 20]);
    code.extend(b"s\0\0\0\0");
    code.extend(consts);
    code.extend(b")\0)\0s\0\0\0\0z\x04x.pyZ\x01fZ\x01g\x01\0\0\0s\0\0\0\0s\0\0\0\0");
    code
}

/// The same with its file name changed, and nothing else.
fn moved(consts: &[u8]) -> Vec<u8> {
    let mut code = code(0, consts);
    let at = code.windows(4).position(|part| part == b"x.py").unwrap();
    code.splice(at - 1..at + 4, *b"\x05/a.py");
    code
}

fn canonical(data: &[u8]) -> Result<Vec<u8>, MarshalError> {
    let mut out = Vec::new();
    relocate(data, layout(), b"/a.py", &mut out)?;
    Ok(out)
}

#[track_caller]
fn becomes(consts: &[u8], expected: &[u8]) {
    let made = canonical(&code(0, consts)).unwrap();
    assert_eq!(
        made,
        moved(expected),
        "{:?}",
        String::from_utf8_lossy(&made)
    );
    assert_eq!(canonical(&made).unwrap(), made, "it is a fixed point");
}

#[test]
fn every_kind_of_constant_is_kept_as_it_is() {
    for constant in [
        &b"N"[..],
        b"T",
        b"F",
        b".",
        b"S",
        b"i\xff\xff\xff\xff",
        b"l\x02\0\0\0\x01\x00\x02\x00",
        b"l\xfe\xff\xff\xff\x01\x00\x02\x00",
        b"g\0\0\0\0\0\0\xf0\x3f",
        b"y\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x80",
        b"s\x02\0\0\0ab",
        b"z\x02ab",
        b"Z\x02ab",
        b"u\x03\0\0\0\xe2\x82\xac",
        b"t\x03\0\0\0\xe2\x82\xac",
        // A lone surrogate.
        b"u\x03\0\0\0\xed\xb2\x80",
        b")\x02NT",
        b">\x01\0\0\0N",
        b":NNN",
    ] {
        becomes(
            &[b")\x01", constant].concat(),
            &[b")\x01", constant].concat(),
        );
    }
}

#[test]
fn long_strings_and_tuples_have_long_lengths() {
    let text = [b"a\x2c\x01\0\0".as_slice(), &[b'x'; 300]].concat();
    let tuple = [b"(\x2c\x01\0\0".as_slice(), &[b'N'; 300]].concat();
    let consts = [b")\x02", text.as_slice(), &tuple].concat();
    becomes(&consts, &consts);
}

#[test]
fn a_mark_that_nothing_refers_to_goes() {
    becomes(
        b"\xa9\x02\xfa\x02ab\xe9\x01\0\0\0",
        b")\x02z\x02abi\x01\0\0\0",
    );
    let marked = code(MARKED, b")\0");
    assert_eq!(canonical(&marked), canonical(&code(0, b")\0")));
}

#[test]
fn references_are_numbered_in_the_order_of_what_they_refer_to() {
    becomes(
        b")\x06\xfa\x02ab\xf3\x01\0\0\0x\xe9\x01\0\0\0r\x02\0\0\0r\x01\0\0\0N",
        b")\x06z\x02ab\xf3\x01\0\0\0x\xe9\x01\0\0\0r\x01\0\0\0r\0\0\0\0N",
    );
}

#[test]
fn single_objects_have_no_number_even_when_marked() {
    becomes(
        b")\x03\xce\xf3\x01\0\0\0xr\0\0\0\0",
        b")\x03N\xf3\x01\0\0\0xr\0\0\0\0",
    );
}

#[test]
fn what_is_only_equal_stays_apart() {
    let consts = b")\x04)\x01N)\x01Ns\x01\0\0\0xs\x01\0\0\0x";
    becomes(consts, consts);
}

#[test]
fn equal_strings_are_one_and_interned_when_one_of_them_was() {
    becomes(b")\x03z\x03a.bz\x03a.bN", b")\x03\xfa\x03a.br\0\0\0\0N");
    becomes(b")\x03z\x03a.bZ\x03a.bN", b")\x03\xda\x03a.br\0\0\0\0N");
}

#[test]
fn strings_of_one_character_are_interned_by_what_they_are() {
    for (one, other, kept) in [
        (
            b"z\x01a".as_slice(),
            b"Z\x01a".as_slice(),
            b"Z\x01a".as_slice(),
        ),
        (b"z\x01{", b"Z\x01{", b"z\x01{"),
        (b"z\0", b"Z\0", b"Z\0"),
        (
            b"u\x02\0\0\0\xc3\xa4",
            b"t\x02\0\0\0\xc3\xa4",
            b"u\x02\0\0\0\xc3\xa4",
        ),
    ] {
        let kept = [b")\x01", kept].concat();
        becomes(&[b")\x01", one].concat(), &kept);
        becomes(&[b")\x01", other].concat(), &kept);
    }
}

#[test]
fn a_set_has_one_order_and_equal_sets_are_one() {
    let set = |elements: [&[u8]; 3]| [b">\x03\0\0\0", elements.concat().as_slice()].concat();
    let (a, b, c) = (
        b"z\x02aa".as_slice(),
        b"z\x02bb".as_slice(),
        b")\x01i\x01\0\0\0".as_slice(),
    );
    let made = |set: Vec<u8>| canonical(&code(0, &[b")\x01", set.as_slice()].concat())).unwrap();
    let expected = made(set([a, b, c]));
    for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
        assert_eq!(made(set(order)), expected);
    }
    let two = [b")\x02", set([a, b, c]).as_slice(), &set([c, b, a])].concat();
    let two = canonical(&code(0, &two)).unwrap();
    assert!(two.windows(5).any(|part| part == b"r\0\0\0\0"));
    let nested = |inner: [&[u8]; 3]| made([b">\x01\0\0\0", set(inner).as_slice()].concat());
    assert_eq!(nested([a, b, c]), nested([c, b, a]));
}

#[test]
fn the_file_name_is_changed_in_all_code_and_nowhere_else() {
    let inner = code(0, b")\x01z\x04x.py");
    let made = canonical(&code(0, &[b")\x01", inner.as_slice()].concat())).unwrap();
    let count = |text: &[u8]| {
        made.windows(text.len())
            .filter(|part| *part == text)
            .count()
    };
    assert_eq!(count(b"\xfa\x05/a.py"), 1);
    assert_eq!(count(b"z\x04x.py"), 1);
}

#[test]
fn a_path_that_is_no_text_is_spelt_as_python_decodes_it() {
    assert_eq!(text("/ä".as_bytes()), "/ä".as_bytes());
    // '\udcff' and '\udc80'
    assert_eq!(text(b"/\xffa\x80"), b"/\xed\xb3\xbfa\xed\xb2\x80");
}

#[test]
fn damaged_data_is_refused() {
    use MarshalError::*;
    let whole = code(0, b")\x01N");
    for length in 0..whole.len() {
        assert_eq!(canonical(&whole[..length]), Err(Truncated), "{length}");
    }
    assert_eq!(canonical(&[whole.as_slice(), b"N"].concat()), Err(Trailing));
    assert_eq!(canonical(b"N"), Err(Misplaced));
    let with = |consts: &[u8]| canonical(&code(0, consts));
    assert_eq!(with(b"[\0\0\0\0"), Err(Type(b'[')));
    assert_eq!(with(b"r\0\0\0\0"), Err(Reference));
    assert_eq!(with(b"\xa9\x01r\0\0\0\0"), Err(Reference));
    assert_eq!(with(b"(\xff\xff\xff\xff"), Err(Type(1)));
    assert_eq!(with(b"s\xff\xff\xff\xff"), Err(Truncated));
    assert_eq!(with(b"l\0\0\0\x80"), Err(Truncated));
    assert_eq!(with(b"z\x01\xe4"), Err(NotAscii));
    let set = [b">\x01\0\0\0", code(0, b")\0").as_slice()].concat();
    assert_eq!(with(&set), Err(Misplaced));
}

#[test]
fn nesting_ends_where_python_would_give_up() {
    let nested = |depth: usize| canonical(&code(0, &[&b")\x01".repeat(depth)[..], b"N"].concat()));
    assert!(nested(DEPTH_LIMIT - 2).is_ok());
    assert_eq!(nested(DEPTH_LIMIT - 1), Err(MarshalError::Depth));
}

#[test]
fn references_that_double_again_and_again_cost_nothing() {
    // Tuple n is twice tuple n - 1, and all are in one set.
    let mut consts = b")\x01>\x40\0\0\0\xa9\x00".to_vec();
    for number in 0..63_u32 {
        let reference = [b"r".as_slice(), &number.to_le_bytes()].concat();
        consts.extend([b"\xa9\x02".as_slice(), &reference, &reference].concat());
    }
    assert!(canonical(&code(0, &consts)).is_ok());
}

proptest! {
    #[test]
    fn no_data_panics_and_what_is_taken_is_a_fixed_point(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 1..4),
                prop::sample::select(vec![
                    b"N".to_vec(), b"\xa9\x02".to_vec(), b")\x01".to_vec(), b">\x02\0\0\0".to_vec(),
                    b"r\0\0\0\0".to_vec(), b"r\x01\0\0\0".to_vec(), b"\xfa\x01a".to_vec(),
                    b"Z\x02ab".to_vec(), b"z\x02ab".to_vec(), b":".to_vec(), b"\xe9\x01\0\0\0".to_vec(),
                    code(0, b")\0"), code(MARKED, b")\x01N"),
                ]),
            ],
            0..12,
        ),
        count in 0_u8..8,
    ) {
        let consts = [vec![b')', count], parts.concat()].concat();
        for layout in [(3, 7), (3, 8), (3, 11)].map(|version| Format::of(version).unwrap().layout()) {
            let mut made = Vec::new();
            if relocate(&code(0, &consts), layout, b"/a.py", &mut made).is_ok() {
                let mut again = Vec::new();
                relocate(&made, layout, b"/a.py", &mut again).unwrap();
                prop_assert_eq!(again, made);
            }
        }
    }
}
