//! Dead letters that a batch puts away, in its transaction. What is heard of them is judged with all other facts.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::Step;
use crate::database::{Failure, Transaction, letters};
use crate::dead_letters::Fate;
use crate::service::Service;

/// Moves the letters that the batch puts away to the past, and answers at which places that was too late. A fact that was to be heard
/// there was not heard: its id may still come from the broker.
pub(super) async fn put_away<S: Service>(
    transaction: &mut Transaction<'_>,
    steps: &[Step<S>],
    loaded: &[String],
) -> Result<BTreeSet<usize>, Failure> {
    let mut first: BTreeMap<&str, (usize, &Fate)> = BTreeMap::new();
    let mut too_late = BTreeSet::new();
    for (place, step) in steps.iter().enumerate() {
        let Step::Letter(fate, _) = step else {
            continue;
        };
        // Of two in one batch the first is it.
        too_late.insert(place);
        first.entry(&fate.id).or_insert((place, fate));
    }
    if first.is_empty() {
        return Ok(too_late);
    }
    let fates: Vec<&Fate> = first.values().map(|(_, fate)| *fate).collect();
    for id in letters::put_away(
        transaction,
        serde_json::to_string(&fates).map_err(|error| Failure::Poison(error.to_string()))?,
    )
    .await?
    {
        if let Some((place, _)) = first.get(id.as_str()) {
            too_late.remove(place);
        }
    }
    let heard = |(place, step): (usize, &Step<S>)| Some((step.id()?, too_late.contains(&place)));
    let (unheard, judged): (Vec<_>, Vec<_>) = steps
        .iter()
        .enumerate()
        .filter_map(heard)
        .partition(|(_, too_late)| *too_late);
    let fresh = loaded.first().map_or("", String::as_str);
    let unheard = unheard
        .into_iter()
        .filter(|(id, _)| !judged.contains(&(*id, false)));
    let unheard: Vec<String> = unheard
        .map(|(id, _)| id.to_string())
        .filter(|id| fresh.contains(id))
        .collect();
    letters::unhear(transaction, &unheard).await?;
    Ok(too_late)
}
