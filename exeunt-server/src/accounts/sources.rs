//! How often one source may ask for a reset link.
//!
//! Must never grow with the number of sources, nor keep an address for longer than it counts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use exeunt::Timestamp;

use super::reset::COUNTED_FOR;

/// Enough for an office behind one address.
const REQUESTS: u32 = 20;
/// When there are more, they are forgotten: the bound of each account is still there, in the database.
const MOST: usize = 10_000;

/// Counts in this process alone.
#[derive(Debug, Default)]
pub(super) struct Sources(Mutex<HashMap<IpAddr, Count>>);

#[derive(Debug)]
struct Count {
    began: Timestamp,
    requests: u32,
}

impl Sources {
    /// Counts a request. `Some`: it is one too many; come back after that.
    pub(super) fn refuse(&self, from: IpAddr, now: Timestamp) -> Option<Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST {
            counts.retain(|_, count| now < count.began.plus(COUNTED_FOR));
        }
        if counts.len() >= MOST {
            counts.clear();
        }
        let count = counts.entry(network(from)).or_insert(Count { began: now, requests: 0 });
        if now >= count.began.plus(COUNTED_FOR) {
            *count = Count { began: now, requests: 0 };
        }
        count.requests = count.requests.saturating_add(1);
        let left = count.began.plus(COUNTED_FOR).as_micros() - now.as_micros();
        (count.requests > REQUESTS).then(|| Duration::from_secs(left.unsigned_abs().div_ceil(1_000_000)))
    }
}

/// Of IPv6 the /64, which is what one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::from([a, b, c, d, 0, 0, 0, 0]).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_ask_20_times_an_hour_and_a_network_of_ipv6_is_one_source() {
        // R35
        let sources = Sources::default();
        let now = Timestamp::from_secs(1_767_225_600);
        let asks = |address: &str, now| sources.refuse(address.parse().unwrap(), now);
        for number in 0..20 {
            assert_eq!(asks("192.0.2.1", now), None);
            assert_eq!(asks(&format!("2001:db8:1:2::{number}"), now), None);
        }
        let later = now.plus(Duration::from_secs(600));
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:ffff::1"] {
            assert_eq!(asks(address, later), Some(Duration::from_secs(3_000)), "{address}");
        }
        for address in ["192.0.2.2", "2001:db8:1:3::1"] {
            assert_eq!(asks(address, later), None, "{address}");
        }
        assert_eq!(asks("192.0.2.1", now.plus(COUNTED_FOR)), None, "counted anew");
    }

    #[test]
    fn however_many_sources_there_are_no_more_are_kept_than_may_be() {
        let sources = Sources::default();
        let now = Timestamp::from_secs(1_767_225_600);
        for number in 0..25_000_u32 {
            sources.refuse(std::net::Ipv4Addr::from(number).into(), now);
            assert!(sources.0.lock().unwrap().len() <= MOST);
        }
    }
}
