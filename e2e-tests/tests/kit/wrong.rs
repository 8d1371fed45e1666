//! Every way to be wrong that is planted, and the promise by whose name the kit has to tell.

use conformance::Promise;

macro_rules! faults {
    ($($fault:ident breaks $promise:ident;)+) => {
        /// What is wrong with a leg.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault {
            Nothing,
            $($fault,)+
        }

        /// Each fault with the promise that it breaks.
        pub(crate) const WRONG: &[(Fault, Promise)] = &[$((Fault::$fault, Promise::$promise),)+];
    };
}

faults! {
    NeverJoins breaks Joins;
    NoDurable breaks Consumer;
    NeverAcknowledges breaks Acknowledges;
    WrongSubject breaks Envelope;
    SaysNothing breaks Turn;
    BeforeItsTurn breaks WaitsItsTurn;
    WrongPosition breaks OwnPositions;
    RewritesTheItinerary breaks Relays;
    SilentOnRepeat breaks Question;
    AnswersEchoes breaks Echo;
    OldIds breaks NewId;
    HoldsTwice breaks HoldsOnce;
    PricesAnew breaks FixedPrice;
    CountsItselfAlone breaks Total;
    IgnoresTheBudget breaks Budget;
    RefusesThenReserves breaks RefusalStays;
    RejectsWhatItHeld breaks RejectedNeverHeld;
    DeafToNonsense breaks Unreadable;
    IgnoresCancellation breaks CancelledHeld;
    ForgetsTombstones breaks Tombstone;
    IgnoresTheLater breaks LaterRejected;
    MindsTheEarlier breaks EarlierRejected;
    LetsGoOfTheFirm breaks Firm;
    LetsGoByItsClock breaks NoClock;
    NeverAsksAgain breaks AsksAgain;
    HoldsAgain breaks StaysLetGo;
    KeepsTheStock breaks GivesBack;
    SellsTwice breaks NeverOversold;
    HoldsTooLate breaks TooLate;
    DiesOfUnknownFields breaks UnknownFields;
    DiesOfMalformed breaks Malformed;
    DropsTheNewer breaks Newer;
    ForgetsAtRestart breaks KeepsState;
    HearsOnlyTheNew breaks LosesNothing;
    TiresOfTrips breaks ComesToItsEnd;
}
