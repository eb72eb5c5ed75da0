//! Logs, what is told of panics, and points at which the rig lets a process die.

pub mod failpoint;
pub mod logs;
pub mod panics;
