//! The judge: what an exchange shows of the promises, as pure functions. No clock, no broker, no waiting; what is not in the exchange is not
//! judged. Order counts only where the speaker's own clock confirms it: facts may arrive late and after their consequence.

use std::collections::BTreeMap;

use choreography::{FactBody, Money, Position, Price, Speaker};
use uuid::Uuid;

use crate::exchange::{Exchange, Word};
use crate::promise::Promise;

/// What came of a question so far.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// It is answered as it should be.
    Right(&'a Word),
    /// It is answered by something else.
    Wrong(&'a Word),
    /// Only under an id that was there before.
    OldId(&'a Word),
    /// Something else was said meanwhile, and perhaps not as an answer.
    Beside(&'a Word),
    /// Nothing was said of that position.
    Silence,
}

/// Looks for the answer to any of these questions, which is one of the facts `wanted`, in what was said from the word `from` on.
#[must_use]
pub fn answer<'a>(
    exchange: &'a Exchange,
    from: usize,
    questions: &[Uuid],
    position: Position,
    wanted: &[&str],
) -> Answer<'a> {
    let known = |id: Option<Uuid>| {
        let mut before = exchange.words.iter().take(from);
        id.is_some() && before.any(|word| !word.ours && word.id == id)
    };
    // Asked twice, for it was slow, it answers twice: the second answer is none to what was asked since.
    let stale = |word: &Word| {
        let asked = exchange.words.iter().take(from).filter(|it| it.ours);
        let mut asked = asked.filter_map(|it| it.id);
        let cause = word.cause.filter(|cause| !questions.contains(cause));
        cause.is_some_and(|cause| asked.any(|id| id == cause))
    };
    let (mut old, mut beside) = (None, None);
    for word in exchange.words.iter().skip(from).filter(|word| !word.ours) {
        let Some((_, name)) = word.says().filter(|(at, _)| *at == position) else {
            continue;
        };
        let fits = wanted.contains(&name);
        if known(word.id) {
            old = old.or(fits.then_some(word));
        } else if stale(word) {
            continue;
        } else if fits {
            return Answer::Right(word);
        } else if word.cause.is_some_and(|cause| questions.contains(&cause)) {
            return Answer::Wrong(word);
        } else {
            beside = Some(word);
        }
    }
    match (old, beside) {
        (Some(word), _) => Answer::OldId(word),
        (None, Some(word)) => Answer::Beside(word),
        (None, None) => Answer::Silence,
    }
}

/// What became of one promise in one exchange: kept, or what broke it.
pub type Judged = (Promise, Result<(), String>);

/// All that one exchange shows, whatever was played in it. A promise that it does not touch is not among them.
#[must_use]
pub fn judge(exchange: &Exchange) -> Vec<Judged> {
    let mut judged = Vec::new();
    for (at, word) in exchange.said() {
        envelope(exchange, word, &mut judged);
        before_its_turn(exchange, at, word, &mut judged);
        total(exchange, word, &mut judged);
    }
    let mut positions: BTreeMap<Position, Vec<&Word>> = BTreeMap::new();
    for (_, word) in exchange.said() {
        if let Some((position, _)) = word.says() {
            positions.entry(position).or_default().push(word);
        }
    }
    for (position, words) in positions {
        one_way(position, &words, &mut judged);
        price(position, &words, &mut judged);
        echoes(exchange, position, &words, &mut judged);
    }
    judged
}

fn holds(promise: Promise, kept: bool, broken: impl FnOnce() -> String) -> Judged {
    (promise, if kept { Ok(()) } else { Err(broken()) })
}

fn envelope(exchange: &Exchange, word: &Word, judged: &mut Vec<Judged>) {
    let fact = match &word.fact {
        Ok(fact) => fact,
        Err(error) => {
            judged.push((Promise::Envelope, Err(error.clone())));
            return;
        }
    };
    let own = fact.speaker == Speaker::Leg(exchange.leg.clone());
    let there = fact.subject() == word.subject;
    judged.push(holds(Promise::Envelope, own && there, || {
        format!(
            "{} was said on {} and belongs on {}",
            fact.kind(),
            word.subject,
            fact.subject()
        )
    }));
    let same = fact.plan == exchange.plan;
    judged.push(holds(Promise::Relays, same, || {
        let (came, went) = (&exchange.plan, &fact.plan);
        if came.itinerary != went.itinerary {
            format!(
                "the itinerary came as {:?} and went on as {:?}",
                came.itinerary, went.itinerary
            )
        } else if came.deadline != went.deadline {
            format!("the deadline {} became {}", came.deadline, went.deadline)
        } else {
            format!("the budget {:?} became {:?}", came.budget, went.budget)
        }
    }));
}

/// Whether anything said so far concerns that position. Its own word about the position before may be heard after this one.
fn before_its_turn(exchange: &Exchange, at: usize, word: &Word, judged: &mut Vec<Judged>) {
    let Some((position, name)) = word.says() else {
        return;
    };
    let concerns = |(place, other): (usize, &Word)| match other.fact.as_ref().map(|it| &it.said) {
        Ok(FactBody::Requested) => place < at && position == 0,
        Ok(FactBody::Reserved { position: said, .. }) => {
            said.checked_add(1) == Some(position) && (place < at || !other.ours)
        }
        Ok(FactBody::Cancelled { .. }) => place < at,
        Ok(FactBody::Rejected { position: said, .. }) => {
            *said > position && (place < at || !other.ours)
        }
        // A message that was meant to be unreadable may be read by whoever is more tolerant.
        Err(_) => place < at && other.ours,
        _ => false,
    };
    let kept = exchange.words.iter().enumerate().any(concerns);
    judged.push(holds(Promise::WaitsItsTurn, kept, || {
        format!("it says {name} of position {position} before anything concerned that position")
    }));
}

fn reserved(word: &Word) -> Option<(Position, &Price)> {
    match &word.fact.as_ref().ok()?.said {
        FactBody::Reserved { position, price } => Some((*position, price)),
        _ => None,
    }
}

fn total(exchange: &Exchange, word: &Word, judged: &mut Vec<Judged>) {
    let Some((position, price)) = reserved(word) else {
        return;
    };
    let before: Vec<Money> = match position.checked_sub(1) {
        None => Vec::new(),
        Some(before) => {
            let mut all = exchange.words.iter().filter_map(reserved);
            match all.find(|(position, _)| *position == before) {
                Some((_, price)) => price.total.clone(),
                None => return,
            }
        }
    };
    let right = price.price.add_to(&before);
    judged.push(holds(
        Promise::Total,
        right.as_ref() == Some(&price.total),
        || {
            format!(
                "{before:?} came in, its price is {}, and it says {:?}",
                price.price, price.total
            )
        },
    ));
}

/// Of one position: held, then perhaps released; or released; or rejected. Nothing else, and never back.
fn one_way(position: Position, words: &[&Word], judged: &mut Vec<Judged>) {
    let first = |name: &str| {
        words
            .iter()
            .position(|word| word.says().is_some_and(|(_, said)| said == name))
    };
    let let_go = first("reserved").into_iter().chain(first("released")).min();
    if let (Some(rejected), other) = (first("rejected"), let_go) {
        let before = other.is_some_and(|other| other < rejected);
        judged.push(holds(Promise::RejectedNeverHeld, !before, || {
            format!("position {position} was reserved or released, and then rejected")
        }));
        let after = other.is_some_and(|other| other > rejected);
        judged.push(holds(Promise::RefusalStays, !after, || {
            format!("position {position} was rejected, and then reserved or released")
        }));
    }
    let Some(released) = first("released") else {
        return;
    };
    let until = words.get(released).and_then(|word| word.time);
    let back = words.iter().skip(released).find(|word| {
        reserved(word).is_some()
            && word
                .time
                .zip(until)
                .is_none_or(|(time, until)| time > until)
    });
    judged.push(holds(Promise::StaysLetGo, back.is_none(), || {
        format!("position {position} was released, and then reserved")
    }));
}

fn price(position: Position, words: &[&Word], judged: &mut Vec<Judged>) {
    let mut prices = words.iter().filter_map(|word| reserved(word));
    let Some((_, first)) = prices.next() else {
        return;
    };
    let mut more = prices.peekable();
    if more.peek().is_none() {
        return;
    }
    let other = more.find(|(_, price)| *price != first);
    judged.push(holds(Promise::FixedPrice, other.is_none(), || {
        let other = other.map_or_else(String::new, |(_, other)| {
            format!("{} (total {:?})", other.price, other.total)
        });
        format!(
            "position {position} cost {} (total {:?}) and then {other}",
            first.price, first.total
        )
    }));
}

/// One fact causes one saying of a position at most. Who names no cause is judged by counting, where it may say nothing by itself.
fn echoes(exchange: &Exchange, position: Position, words: &[&Word], judged: &mut Vec<Judged>) {
    let ours: Vec<Uuid> = exchange
        .words
        .iter()
        .filter(|word| word.ours)
        .filter_map(|word| word.id)
        .collect();
    let mut repeated: Vec<Uuid> = ours.clone();
    repeated.sort_unstable();
    repeated.dedup();
    if repeated.len() == ours.len() {
        return; // nothing came twice
    }
    let twice = repeated.iter().find(|id| {
        let caused = words.iter().filter(|word| word.cause == Some(**id));
        caused.count() > 1
    });
    judged.push(holds(Promise::Echo, twice.is_none(), || {
        format!("position {position} answers one message of the kit twice, under different ids")
    }));
}
