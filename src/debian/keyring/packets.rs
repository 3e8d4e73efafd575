//! OpenPGP packets (RFC 9580 section 4), cut apart before any of them is read: one that cannot
//! be read then spoils no other.

use pgp::packet::{Packet, PacketHeader};
use pgp::types::Tag;

/// A packet of a known length.
pub(in crate::debian) struct Framed<'a> {
    header: PacketHeader,
    body: &'a [u8],
}

impl Framed<'_> {
    /// What kind of packet it is.
    pub(in crate::debian) fn tag(&self) -> Tag {
        self.header.tag()
    }

    /// The packet itself.
    pub(in crate::debian) fn read(&self) -> Result<Packet, pgp::errors::Error> {
        Packet::from_reader(self.header, self.body)
    }
}

/// The packets of `bytes`, in order. Ends after the first error, behind which nothing is known.
pub(in crate::debian) fn packets(
    mut bytes: &[u8],
) -> impl Iterator<Item = Result<Framed<'_>, &'static str>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let framed = frame(&mut bytes);
        if framed.is_err() {
            bytes = &[];
        }
        Some(framed)
    })
}

fn frame<'a>(bytes: &mut &'a [u8]) -> Result<Framed<'a>, &'static str> {
    let header =
        PacketHeader::try_from_reader(&mut *bytes).map_err(|_| "it holds what is no packet")?;
    let length = header
        .packet_length()
        .maybe_len()
        .ok_or("it holds a packet that does not tell its length")?;
    let (body, rest) = usize::try_from(length)
        .ok()
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or("it ends in the middle of a packet")?;
    *bytes = rest;
    Ok(Framed { header, body })
}
