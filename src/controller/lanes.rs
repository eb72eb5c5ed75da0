//! Whose turn it is: keys in lanes, one a namespace, by weighted round robin.
//!
//! A lane with hundreds of keys delays one with a single key by no more than the turns of one round, and never holds
//! more than its share of the workers. Pure: the same calls give the same order.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;

/// What a key is counted under.
pub trait Lane {
    /// The name of its lane.
    fn lane(&self) -> &str;
}

/// How the work is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Keys of one lane that are worked on at the same time.
    pub per_lane: NonZeroUsize,
    /// Turns of a lane in each round, for those that have more than one.
    pub weights: HashMap<String, u32>,
}

impl Shares {
    /// Every lane may have all workers, and one turn in each round.
    pub fn unlimited() -> Self {
        Self { per_lane: NonZeroUsize::MAX, weights: HashMap::new() }
    }

    fn turns(&self, lane: &str) -> u32 {
        self.weights.get(lane).copied().unwrap_or(1).max(1)
    }
}

/// Keys that are ready, by lane.
pub struct Lanes<K> {
    shares: Shares,
    lanes: HashMap<String, OneLane<K>>,
    /// Lanes that have something ready and may have one more worker, in the order of their turns.
    turns: VecDeque<String>,
    /// Turns that the first of them has left.
    left: u32,
}

struct OneLane<K> {
    ready: VecDeque<K>,
    running: usize,
    /// Whether it stands in `turns`.
    listed: bool,
}

impl<K: Lane> Lanes<K> {
    /// No keys.
    pub fn new(shares: Shares) -> Self {
        Self { shares, lanes: HashMap::new(), turns: VecDeque::new(), left: 0 }
    }

    /// Adds a key at the end of its lane.
    pub fn push(&mut self, key: K) {
        let name = key.lane().to_owned();
        let new = || OneLane { ready: VecDeque::new(), running: 0, listed: false };
        self.lanes.entry(name.clone()).or_insert_with(new).ready.push_back(key);
        self.list(&name);
    }

    /// The next key; its lane has one worker more until [`done`](Self::done).
    pub fn take(&mut self) -> Option<K> {
        let name = self.turns.front()?.clone();
        let lane = self.lanes.get_mut(&name)?;
        let key = lane.ready.pop_front();
        lane.running += usize::from(key.is_some());
        self.left = self.left.saturating_sub(1);
        let rests = lane.ready.is_empty() || lane.running >= self.shares.per_lane.get();
        if rests || self.left == 0 {
            self.turns.pop_front();
            lane.listed = !rests;
            if !rests {
                self.turns.push_back(name);
            }
            self.left = self.turns.front().map_or(0, |next| self.shares.turns(next));
        }
        key
    }

    /// A worker of the key's lane is free again.
    pub fn done(&mut self, key: &K) {
        let name = key.lane();
        let Some(lane) = self.lanes.get_mut(name) else { return };
        lane.running = lane.running.saturating_sub(1);
        if lane.running == 0 && lane.ready.is_empty() {
            self.lanes.remove(name);
            return;
        }
        let name = name.to_owned();
        self.list(&name);
    }

    /// Whether there is a key to take.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Gives a lane its place at the end of the round, when it has something ready and may have a worker.
    fn list(&mut self, name: &str) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        if lane.listed || lane.ready.is_empty() || lane.running >= self.shares.per_lane.get() {
            return;
        }
        lane.listed = true;
        if self.turns.is_empty() {
            self.left = self.shares.turns(name);
        }
        self.turns.push_back(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    //! Unit: the order of keys, and who may have a worker.

    use super::*;

    /// A namespace and a number.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Named(&'static str, usize);

    impl Lane for Named {
        fn lane(&self) -> &str {
            self.0
        }
    }

    fn shares(per_lane: usize, weights: &[(&str, u32)]) -> Shares {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        Shares { per_lane: NonZeroUsize::new(per_lane).unwrap(), weights }
    }

    fn filled(shares: Shares, counts: &[(&'static str, usize)]) -> Lanes<Named> {
        let mut lanes = Lanes::new(shares);
        for (name, count) in counts {
            (0..*count).for_each(|number| lanes.push(Named(name, number)));
        }
        lanes
    }

    /// The lanes of the next `count` keys, each worked on and given back before the next one is taken.
    fn order(lanes: &mut Lanes<Named>, count: usize) -> String {
        let next = |_| {
            let key = lanes.take()?;
            lanes.done(&key);
            Some(key.0)
        };
        (0..count).map_while(next).collect()
    }

    #[test]
    fn a_crowd_does_not_keep_a_single_one_waiting() {
        let mut lanes = filled(Shares::unlimited(), &[("a", 200), ("b", 1), ("c", 1)]);
        assert_eq!(order(&mut lanes, 6), "abcaaa");
        lanes.push(Named("b", 1));
        assert_eq!(order(&mut lanes, 2), "ab", "who comes in the middle waits for one turn");
        assert_eq!(order(&mut lanes, 300).len(), 200 - 5, "nothing is lost");
        assert!(lanes.is_empty() && lanes.lanes.is_empty(), "nothing is remembered of lanes that are done");
    }

    #[test]
    fn weights_are_turns_in_a_round() {
        let mut lanes = filled(shares(9, &[("b", 3), ("c", 0)]), &[("a", 9), ("b", 9), ("c", 9)]);
        assert_eq!(order(&mut lanes, 10), "abbbcabbbc");
        // A lane that runs dry in the middle of its turns leaves none of them to the next one.
        let mut lanes = filled(shares(9, &[("b", 3)]), &[("a", 3), ("b", 2), ("c", 3)]);
        assert_eq!(order(&mut lanes, 8), "abbcacac");
    }

    #[test]
    fn no_lane_has_more_workers_than_its_share() {
        let mut lanes = filled(shares(2, &[]), &[("a", 200)]);
        let first = lanes.take().unwrap();
        let second = lanes.take().unwrap();
        assert_eq!((first.1, second.1), (0, 1));
        assert!(lanes.is_empty() && lanes.take().is_none(), "two of its keys are being worked on");
        lanes.push(Named("b", 0));
        assert_eq!(lanes.take(), Some(Named("b", 0)));
        assert!(lanes.take().is_none());
        lanes.done(&first);
        assert_eq!(lanes.take(), Some(Named("a", 2)));
        lanes.done(&second);
        lanes.done(&Named("a", 2));
        assert_eq!(lanes.take(), Some(Named("a", 3)), "each that ends lets one more begin");
        assert_eq!(lanes.take(), Some(Named("a", 4)));
        assert!(lanes.take().is_none());
    }
}
