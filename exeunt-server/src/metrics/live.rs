//! How many sessions live.
//!
//! Counted by a walk over all of them, at most 10,000 a second, and again a minute after it ended: so the figure is as old as
//! a minute and a ten-thousandth of a second for each session, and when it was counted is a figure, too. Must never cost
//! more than that, however many there are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exeunt::store::Causes;
use exeunt::{Record, Sessions, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

const STEP: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);
const REST: Duration = Duration::from_secs(60);

/// Counted so far. Until all were counted once there is no figure, which is not zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Arc<Mutex<Option<Count>>>);

#[derive(Clone, Copy, Debug)]
struct Count {
    sessions: usize,
    at: Timestamp,
}

impl Live {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let live = Self::default();
        registry.register_collector(Box::new(live.clone()));
        live
    }

    pub(super) async fn keep_counting(&self, sessions: &Sessions) {
        loop {
            match count(sessions).await {
                Ok(number) => *self.locked() = Some(Count { sessions: number, at: sessions.now() }),
                // The figure stays as old as it is, and says so.
                Err(error) => {
                    tracing::debug!(event = "sessions_not_counted", error = %Causes(&error), "sessions not counted");
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(Count { sessions, at }) = *self.locked() else { return Ok(()) };
        let sessions = ConstGauge::new(i64::try_from(sessions).unwrap_or(i64::MAX));
        let help =
            "Live sessions in the store, of all servers on it together; counted anew about each minute";
        sessions.encode(encoder.encode_descriptor("sessions_live", help, None, MetricType::Gauge)?)?;
        let at = ConstGauge::new(at.as_micros() / 1_000_000);
        let help = "When the live sessions were counted, in Unix time";
        let name = "sessions_live_counted";
        at.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?)
    }
}

async fn count(sessions: &Sessions) -> Result<usize, exeunt::Error> {
    let (mut number, mut after) = (0, None);
    loop {
        let found = sessions.walk(after.as_ref(), STEP).await?;
        number += found.len();
        let Some(last) = found.last().map(Record::id).filter(|_| found.len() == STEP) else {
            return Ok(number);
        };
        after = Some(last);
        tokio::time::sleep(PAUSE).await;
    }
}
