//! A task that its process cannot do without. It restarts nothing: whoever started the process does.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Runs a task that the service cannot do without: a panic in it is the end of the process, which is started again, rather
/// than of a part that nobody misses before work hangs.
pub(crate) fn vital(
    lost: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let lost = lost.clone();
    tokio::spawn(async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            tracing::error!("a part of the service panicked; see the line before");
            lost.cancel();
        }
    })
}
