//! What a leg promises, each with a name, a sentence and what breaks without it. The law is the table in `leg::core` and the rules at the
//! head of `choreography`; here it is in the words of somebody who looks at a leg from outside. Not how it is tried: that is in `scenes`.

use serde::{Serialize, Serializer};

macro_rules! promises {
    ($($name:ident, $text:literal, $sentence:literal, $reason:literal;)+) => {
        /// Something that a leg promises to the others.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Promise {
            $(#[doc = $sentence] $name,)+
        }

        impl Promise {
            /// Every promise, in the order in which a report has them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name, for programs and for people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What is promised.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }

            /// What breaks where it is not kept.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self {
                    $(Self::$name => $reason,)+
                }
            }
        }
    };
}

promises! {
    Joins, "joins",
        "It says `joined` when it starts.",
        "Booking takes no trip with a leg that it has not heard of.";
    Consumer, "durable-consumer",
        "It hears through a durable consumer of its own name that takes in all that concerns it, and acknowledges each fact itself.",
        "What is said while it is down would never reach it, and its trips would wait for a repeat.";
    Acknowledges, "acknowledges",
        "It acknowledges what it has dealt with.",
        "The broker would deliver it again and again, and then nothing new any more.";
    Envelope, "envelope",
        "What it says is a CloudEvent with a UUID, of a type and under a subject that the table has.",
        "Whoever is meant would not hear it, or make a dead letter of it.";
    Turn, "answers-its-turn",
        "When its turn comes, it says `reserved` with its price, or `rejected`.",
        "The trip would stand still there.";
    WaitsItsTurn, "waits-its-turn",
        "It says nothing before its turn.",
        "It would hold for trips that never reach it, and hand them on past the legs before it.";
    OwnPositions, "positions",
        "A leg is a position, not a service: it answers for each of its positions by itself, and for no other.",
        "A trip there and back would hold one way only, or give back the wrong one.";
    Relays, "relays-byte-for-byte",
        "It hands on itinerary, deadline and budget as they came, byte for byte, with all that it does not know in it.",
        "The legs behind it would be asked for something else than the traveller wanted.";
    Question, "new-id-is-a-question",
        "Asked again under a new id, it says again what its record has to say.",
        "Whoever lost the answer would wait for ever.";
    Echo, "same-id-is-an-echo",
        "The same message once more says nothing.",
        "Each redelivery would be answered, and each answer perhaps redelivered: an echo without end.";
    NewId, "answers-under-a-new-id",
        "Whatever it says, first or again, has a new id.",
        "The hearer takes a known id for an echo and drops it: the trip is stuck.";
    HoldsOnce, "holds-once",
        "However often it is asked, it holds once.",
        "Capacity would be taken that nobody gives back.";
    FixedPrice, "price-is-fixed",
        "Price and total are fixed at the hold, and said again verbatim.",
        "The trip would cost something else than was confirmed.";
    Total, "total-adds-up",
        "Its total is what came in plus its own price, one sum for each currency.",
        "The budget would be held against a wrong sum.";
    Budget, "keeps-the-budget",
        "What exceeds the budget, or is not in its currency, it rejects; what meets it exactly it takes.",
        "Travellers would pay more than they allowed.";
    RefusalStays, "a-refusal-stays",
        "What it rejected it rejects for ever, with a reason, however often it is asked.",
        "Booking counts a rejection as settled: a hold after it would never come back.";
    RejectedNeverHeld, "rejected-never-held",
        "`rejected` is said only by a leg that never held; whoever lets go of a hold says `released`.",
        "Booking settles all that lies behind a rejection on the strength of that.";
    Unreadable, "answers-unreadable-details",
        "Details that it cannot read or accept are an answer too, and it stays able to hear of that trip.",
        "As a dead letter, it would make the leg deaf to the trip's cancellation.";
    CancelledHeld, "cancelled-gives-back",
        "Cancelled, held or confirmed, it gives back what it has and says `released`.",
        "The trip would never be closed, and the hold never be sold to somebody else.";
    Tombstone, "cancelled-before-its-turn",
        "A cancellation that comes first is answered with `released` and remembered: a turn that comes late holds nothing.",
        "It would hold for a trip that is over.";
    LaterRejected, "rejected-behind-gives-back",
        "When a leg behind it rejects, it gives back its hold and says `released`; before its turn too, and then a late turn holds nothing.",
        "A refused trip would keep what the legs before the refusal hold.";
    EarlierRejected, "rejected-before-is-no-concern",
        "A rejection before it concerns it not; before and after compare positions, never names.",
        "Legs would speak of trips that never came to them.";
    Firm, "confirmed-is-firm",
        "Confirmed, it is firm: only a cancellation brings it back.",
        "A traveller would stand at the gate without a seat.";
    NoClock, "no-clock-of-its-own",
        "It never lets go of a hold by its own clock: it asks.",
        "Booking might confirm the trip at the same moment.";
    AsksAgain, "who-waits-asks-again",
        "While it holds it says `reserved` again by itself, after half a minute or so.",
        "If the broker loses the fact, the trip stands still for ever.";
    StaysLetGo, "let-go-is-for-good",
        "What it released it does not hold again for that trip.",
        "Booking has closed the trip: the hold would never come back.";
    GivesBack, "given-back-can-be-sold",
        "What was given back can be sold again.",
        "Capacity would dwindle with each trip that comes back.";
    NeverOversold, "never-oversold",
        "What is held is sold to nobody else.",
        "Two travellers would have the same seat.";
    TooLate, "too-late-is-released",
        "Over an hour past the trip's deadline it takes no hold and says `released`; until then it decides as ever.",
        "Records are dropped after a week: a request that old would be held for a trip that nobody knows.";
    UnknownFields, "ignores-unknown-fields",
        "Fields and headers that it does not know it ignores.",
        "No service could be upgraded before all the others.";
    Malformed, "survives-malformed",
        "What it cannot read stops it not: it puts it aside and goes on.",
        "One bad message would stop every trip.";
    Newer, "newer-version-waits",
        "A fact in a newer major version it puts back for a while, and goes on.",
        "In the middle of an upgrade facts would be lost.";
    KeepsState, "keeps-its-state",
        "Killed and started again, it knows every record that it had.",
        "Holds would be forgotten, or taken twice.";
    LosesNothing, "loses-nothing-when-killed",
        "What was said to it while it was killed or away, it deals with when it is back.",
        "It acknowledged what it had not yet kept.";
    ComesToItsEnd, "every-trip-comes-to-its-end",
        "Whatever is repeated, reordered or lost on the way, every trip comes to its end.",
        "Trips would stay open, and what they hold with them.";
}

impl Serialize for Promise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
