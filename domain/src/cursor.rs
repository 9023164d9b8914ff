//! The content of a cursor: what one reader was delivered, in a form from which every replica can
//! resume. Opaque to clients. Signing, and handling a cursor of another group or key, is left to
//! the API.

use crate::hlc::Hlc;
use crate::ids::{Epoch, Origin, ReplicaId};
use crate::names::GroupName;
use crate::version_vector::VersionVector;

/// A reader's progress, or a writer's mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The group of the stream; `None` in a mark, which only names the events to wait for.
    pub group: Option<GroupName>,
    /// The API level of the replica that made it.
    pub level: u32,
    /// The events it covers.
    pub delivery: Delivery,
}

/// The events that one reader was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The events that were delivered, and those that needed no frame.
    pub delivered: VersionVector,
    /// The part of `delivered` that no later frame contradicts; `None` if that is all of it. An
    /// event delivered and not acknowledged is stale: see [`crate::timeline::Progress`].
    pub acknowledged: Option<VersionVector>,
    /// The highest clock reading among the delivered events.
    pub highest: Hlc,
}

impl Cursor {
    /// Appends the bytes of a cursor: group, clock reading, level, the vector delivered, and the
    /// vector acknowledged where it differs.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let group = self.group.as_ref().map_or("", GroupName::as_str);
        bytes.push(u8::try_from(group.len()).expect("a name has at most 32 characters of 4 bytes"));
        bytes.extend(group.as_bytes());
        bytes.extend(self.delivery.highest.get().to_be_bytes());
        put_number(u64::from(self.level), bytes);
        put_vector(&self.delivery.delivered, bytes);
        if let Some(acknowledged) = &self.delivery.acknowledged {
            put_vector(acknowledged, bytes);
        }
    }

    /// Parses the bytes of a cursor. Returns `None` if they are malformed.
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let group_length = usize::from(take::<1>(bytes)?[0]);
        let (group, rest) = bytes.split_at_checked(group_length)?;
        *bytes = rest;
        let group = match str::from_utf8(group).ok()? {
            "" => None,
            name => Some(GroupName::stored(name).ok()?),
        };
        let highest = Hlc::new(u64::from_be_bytes(take(bytes)?))?;
        let level = u32::try_from(take_number(bytes)?).ok()?;
        let delivered = take_vector(bytes)?;
        let acknowledged = if bytes.is_empty() {
            None
        } else {
            Some(take_vector(bytes)?)
        };
        bytes.is_empty().then_some(Self {
            group,
            level,
            delivery: Delivery {
                delivered,
                acknowledged,
                highest,
            },
        })
    }
}

fn put_vector(vector: &VersionVector, bytes: &mut Vec<u8>) {
    put_number(vector.len() as u64, bytes);
    for (origin, seq) in vector.iter() {
        bytes.extend(origin.replica.get().to_be_bytes());
        bytes.extend(origin.epoch.0.to_be_bytes());
        put_number(seq, bytes);
    }
}

fn take_vector(bytes: &mut &[u8]) -> Option<VersionVector> {
    let count = take_number(bytes)?;
    let mut held = Vec::new();
    for _ in 0..count {
        let origin = Origin {
            replica: ReplicaId::new(u16::from_be_bytes(take(bytes)?))?,
            epoch: Epoch(u32::from_be_bytes(take(bytes)?)),
        };
        held.push((origin, take_number(bytes)?));
    }
    Some(held.into_iter().collect())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Appends a number as LEB128: every frame has a cursor, and most numbers are small.
fn put_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes)?;
        let bits = u64::from(byte & 0x7f);
        if bits.checked_shl(shift)? >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
