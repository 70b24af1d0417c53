//! A double of the Docker Engine.
