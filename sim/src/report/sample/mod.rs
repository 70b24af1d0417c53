//! A made-up report that has something in every part, for the look of the page and the tests of it.

pub mod stories;
