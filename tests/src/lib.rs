//! Fixtures for the integration tests: real managers, real engines, a modelled or real store.
