//! What both benches need: CPU time as a clock, and the charts that are measured.

mod charts;
mod cpu;

pub use charts::{BenchChart, charts};
pub use cpu::{Usage, cpu_time, usage_of_children};
