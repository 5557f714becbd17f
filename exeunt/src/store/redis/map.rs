//! Which server has which keys.
//!
//! Must never guess: a slot that nobody has is nobody's.

use std::collections::HashMap;

use super::error::Fault;
use super::url::Host;

/// Enough to meet a single slot among 16384 but once in ten million times.
const KEYS_TRIED: u32 = 1 << 18;

/// Who has which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map {
    /// First slot, last slot, primary.
    pub(super) ranges: Vec<(u16, u16, Host)>,
    /// Slots that moved since.
    pub(super) moved: HashMap<u16, Host>,
    /// Servers that can be asked for a newer map, besides those that the URL names.
    pub(super) known: Vec<Host>,
}

impl Map {
    /// The same after a server said that a key has moved.
    pub(super) fn after_a_move(&self, key: &str, to: Host) -> Self {
        let mut map = self.clone();
        map.moved.insert(slot(key), to);
        map
    }

    pub(super) fn of_one(host: Option<&Host>) -> Self {
        let ranges = host.map(|host| (0, u16::MAX, host.clone())).into_iter().collect();
        Self { ranges, ..Self::default() }
    }

    pub(super) fn host(&self, key: &str) -> Result<&Host, Fault> {
        // Outside of a cluster there are no slots to count out.
        if let ([(0, u16::MAX, only)], true) = (&*self.ranges, self.moved.is_empty()) {
            return Ok(only);
        }
        let slot = slot(key);
        let in_range = || self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        let host = self.moved.get(&slot).or_else(|| in_range().map(|(_, _, host)| host));
        host.ok_or_else(|| Fault::NoPrimary { what: format!("no server has slot {slot}"), source: None })
    }

    /// Keys that begin so, one on every server.
    pub(super) fn a_key_on_each(&self, beginning: &str) -> Vec<String> {
        let on = |host| {
            let mut keys = (0..KEYS_TRIED).map(|number| format!("{beginning}{number}"));
            keys.find(|key| self.host(key).is_ok_and(|its| its == host))
        };
        self.hosts().into_iter().filter_map(on).collect()
    }

    pub(super) fn hosts(&self) -> Vec<&Host> {
        let mut hosts: Vec<_> =
            self.ranges.iter().map(|(_, _, host)| host).chain(self.moved.values()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// The slot of a key: CRC-16 (XMODEM) of the part in the first braces, or of all of it (Redis Cluster specification).
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % 16_384
}

/// CRC-16 (XMODEM): the same on every node and in every version.
pub(super) fn crc16(text: &str) -> u16 {
    text.bytes().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use redis::cluster_routing::Slot;

    use super::*;

    #[test]
    fn each_server_has_a_key_also_one_with_a_single_slot() {
        let host = |port| Host { name: "h".to_owned(), port };
        let map = Map {
            ranges: vec![(0, 8_000, host(1)), (8_001, 8_001, host(2)), (8_002, 16_383, host(3))],
            ..Map::default()
        };
        let keys = map.a_key_on_each("a:ping:");
        let hosts: Vec<_> = keys.iter().map(|key| map.host(key).unwrap().port).collect();
        assert_eq!(hosts, [1, 2, 3]);
        assert_eq!(Map::of_one(Some(&host(1))).a_key_on_each("a:"), ["a:0"]);
    }

    #[test]
    fn a_key_has_the_slot_that_the_servers_give_it() {
        for key in [
            "",
            "a",
            "exeunt:s:DNqrr2AAAAE",
            "exeunt:i:{a}",
            "u:{}x",
            "u:}{a}b}",
            "u:{{a}}",
            "exeunt:w:{exeunt:s:x}",
        ] {
            assert_eq!(Slot::new(slot(key)), Some(Slot::for_key(key)), "{key}");
        }
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("exeunt:w:{exeunt:s:DNqrr2AAAAE}"), slot("exeunt:s:DNqrr2AAAAE"));
    }
}
