//! One pass over a blob, whatever is read of it.

use super::super::tape::Tape;
use super::*;

/// Runs `test` on a tape of `body`; gives how often it was opened and what was told.
fn on(body: &[u8], size: u64, test: impl FnOnce(&Tape<'_, '_, '_>)) -> (usize, u64) {
    let opened = AtomicUsize::new(0);
    let told = AtomicU64::new(0);
    let open = || -> io::Result<Box<dyn Read + '_>> {
        opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(body))
    };
    let progress = |bytes| {
        told.fetch_add(bytes, Ordering::SeqCst);
    };
    std::thread::scope(|scope| test(&Tape::new(scope, &open, size, &progress)));
    (opened.into_inner(), told.into_inner())
}

fn read(tape: &Tape<'_, '_, '_>, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    tape.read_from(at, length)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn parts_in_order_are_read_in_one_pass() {
    let body = content(1_000_000);
    let (opened, told) = on(&body, 1_000_000, |tape| {
        for at in (0..1_000_000).step_by(300_000) {
            let length = 300_000.min(1_000_000 - at);
            let part = read(tape, at, length).unwrap();
            assert_eq!(part, body[at as usize..(at + length) as usize]);
        }
    });
    assert_eq!((opened, told), (1, 1_000_000));
}

#[test]
fn a_part_from_elsewhere_opens_it_again_and_tells_no_byte_twice() {
    let body = content(1_000_000);
    let (opened, told) = on(&body, 1_000_000, |tape| {
        assert_eq!(read(tape, 0, 600_000).unwrap(), body[..600_000]);
        assert_eq!(
            read(tape, 100_000, 600_000).unwrap(),
            body[100_000..700_000]
        );
        assert_eq!(read(tape, 700_000, 300_000).unwrap(), body[700_000..]);
    });
    assert_eq!((opened, told), (2, 1_000_000));
}

#[test]
fn a_part_that_was_left_half_read_can_be_read_again() {
    let body = content(1_000_000);
    on(&body, 1_000_000, |tape| {
        let mut first = tape.read_from(0, 500_000).unwrap();
        first.read_exact(&mut [0; 1000]).unwrap();
        assert_eq!(read(tape, 0, 500_000).unwrap(), body[..500_000]);
        let error = first.read(&mut [0; 10]).unwrap_err();
        assert!(error.to_string().contains("another attempt"), "{error}");
    });
}

#[test]
fn the_last_byte_comes_only_when_the_blob_has_ended_well() {
    struct Failing(u64);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(usize::try_from(self.0).unwrap());
            if count == 0 {
                return Err(io::Error::other("its digest is wrong"));
            }
            self.0 -= count as u64;
            Ok(count)
        }
    }
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(Failing(1000))) };
    std::thread::scope(|scope| {
        let tape = Tape::new(scope, &open, 1000, &|_| {});
        let error = read(&tape, 0, 1000).unwrap_err();
        assert_eq!(error.to_string(), "its digest is wrong");
        let error = read(&tape, 0, 1000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its digest is wrong",
            "the second time too"
        );
    });
}

#[test]
fn a_blob_of_another_size_is_an_error() {
    let body = content(1000);
    for size in [999, 1001] {
        on(&body, size, |tape| {
            assert!(read(tape, 0, size).is_err());
            assert!(read(tape, 500, size - 500).is_err());
        });
    }
}
