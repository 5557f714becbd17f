//! Looks every second whether the primaries are still who they were, so that an old one is not read from.
//!
//! Must never keep a store that nobody uses any more, and never connect where no request did.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::error::Fault;
use super::link::Link;
use super::url::Mode;

const EVERY: Duration = Duration::from_secs(1);

/// Watches until the store is dropped.
pub(super) fn watch(link: &Arc<Link>) {
    let link = Arc::downgrade(link);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            if !look(&link).await {
                return;
            }
        }
    });
}

async fn look(link: &Weak<Link>) -> bool {
    let Some(link) = link.upgrade() else { return false };
    if link.known_map().is_none() {
        return true;
    }
    if link.config.mode != Mode::Standalone {
        // Nobody who says otherwise: then what was known holds, as long as those servers themselves agree.
        let _ = link.find(link.until()).await;
    }
    for node in link.all_primaries(link.until()).await.unwrap_or_default() {
        // One that answers nothing at all loses its connection by the asking.
        if let Some(open) = node.opened()
            && let Err(fault @ Fault::NoPrimary { .. }) = node.still_primary(&open, link.until()).await
        {
            tracing::warn!("{fault}");
            link.forget();
        }
    }
    true
}
