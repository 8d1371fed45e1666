//! Whose turn it is where loads are measured one after the other, and what lies between two turns, so that neither is measured with what the
//! other left. What a turn is, is [`super::run`]'s.

use std::time::Duration;

use stack::Stack;

use super::database;
use super::load::Pace;
use super::protocol::Protocol;
use super::run::Options;

/// A PostgreSQL process that has gone idle tells what it did within ten seconds: counted before, it would be the next one's.
const TOLD_WITHIN: Duration = Duration::from_millis(10_500);

/// Each pace by each protocol.
pub(crate) fn loads(options: &Options) -> Vec<(Pace, Protocol)> {
    let protocols = options.protocols.iter();
    let by_all = |pace: &Pace| {
        let pace = *pace;
        protocols.clone().map(move |protocol| (pace, *protocol))
    };
    options.paces.iter().flat_map(by_all).collect()
}

/// Such as `64 callers, saga, run 2 of 3`.
pub(crate) fn name(
    (pace, protocol): (Pace, Protocol),
    several: bool,
    (run, of): (u32, u32),
) -> String {
    let load = match several {
        true => format!("{pace}, {protocol}"),
        false => pace.to_string(),
    };
    match of {
        1 => load,
        all => format!("{load}, run {run} of {all}"),
    }
}

/// The loads of a run by their places: in every second run from the last to the first, so that none always follows the same one.
pub(crate) fn order(loads: usize, run: u32) -> Vec<usize> {
    match run % 2 {
        0 => (0..loads).rev().collect(),
        _ => (0..loads).collect(),
    }
}

/// Has a PostgreSQL server write down what is left of the turn before, and waits until its processes have told all they did: the warm-up is
/// a part of that time.
pub(crate) async fn begin(stack: Option<&Stack>, warmup: Duration, say: stack::Say<'_>) {
    let url = stack.and_then(|stack| stack.databases().get(booking::NAME));
    let Some(url) = url.filter(|url| database::is_server(url)) else {
        return;
    };
    // Somebody's server may not let us: the figures are as good as they can be there then.
    if let Err(error) = database::checkpoint(url).await {
        say(&format!("no checkpoint before this run: {error:#}"));
    }
    tokio::time::sleep(TOLD_WITHIN.saturating_sub(warmup)).await;
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn every_second_run_goes_the_other_way() {
        assert_eq!(order(3, 1), [0, 1, 2]);
        assert_eq!(order(3, 2), [2, 1, 0]);
        assert_eq!(order(3, 3), [0, 1, 2]);
    }
}
