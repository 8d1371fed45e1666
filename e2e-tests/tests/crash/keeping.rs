//! What a service keeps until it is safe elsewhere: a batch that cannot be saved yet, a fact that the broker has not acknowledged, a
//! fact that cannot be saved at all, and a hold whose word was lost. Not about dying in between; that is the [matrix](crate::matrix).

use std::collections::BTreeSet;

use booking::core::State;
use e2e_tests::trip::{Asked, flight, stay, trip};
use e2e_tests::{Engine, HOUSE, Setup, Stock, World, eventually, on_both_databases, play};
use futures::future::join;

use crate::{nobody_asks_again, until_final};

on_both_databases![
    what_cannot_be_saved_yet_is_tried_again with |_| setup_in_which_nothing_comes_twice(),
];
