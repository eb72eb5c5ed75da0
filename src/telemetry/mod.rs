//! Logs, metrics and health.

pub mod logs;
