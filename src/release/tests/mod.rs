//! Unit: the pure steps of the release engine.
