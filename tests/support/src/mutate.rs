//! Bytes made of others at random, from a fixed seed: the same ones in each run.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// What makes readers stumble.
const PIECES: [&[u8]; 40] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"#",
    b"&",
    b"=",
    b"%",
    b"+",
    b"-",
    b".",
    b"..",
    b"/",
    b"@",
    b"$",
    b"!",
    b"0",
    b"1",
    b"f",
    b"\\u0061",
    b"%61",
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\x7f",
    b"\xe2\x80\xa8",
];

/// A source of mutations.
pub struct Mutator(TestRng);

impl Mutator {
    /// The same mutations for the same name.
    pub fn new(name: &str) -> Self {
        let mut seed = [7_u8; 32];
        seed.iter_mut().zip(name.bytes()).for_each(|(seed, byte)| *seed = byte);
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }

    /// A number below `end`; 0 below 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    /// One of `seeds` with one to four changes, with pieces of the others among them.
    pub fn mutate<B: AsRef<[u8]>>(&mut self, seeds: &[B]) -> Vec<u8> {
        let mut bytes = self.one_of(seeds).to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn one_of<'b, B: AsRef<[u8]>>(&mut self, seeds: &'b [B]) -> &'b [u8] {
        let index = self.below(seeds.len());
        seeds.get(index).map(AsRef::as_ref).unwrap_or_default()
    }

    /// A short stretch of `length` bytes.
    fn stretch(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = if self.below(8) == 0 { length } else { 16 };
        start..(start + self.below(longest + 1)).min(length)
    }

    fn change<B: AsRef<[u8]>>(&mut self, bytes: &mut Vec<u8>, seeds: &[B]) {
        let at = self.stretch(bytes.len());
        match self.below(8) {
            // One byte becomes another.
            0 => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(at.start) {
                    *byte ^= 1 << bit;
                }
            }
            // Something goes.
            1 => drop(bytes.drain(at)),
            // Something stands there twice.
            2 => {
                let copy = bytes[at.clone()].to_vec();
                drop(bytes.splice(at.end..at.end, copy));
            }
            // Something comes from elsewhere.
            3 | 4 => {
                let other = self.one_of(seeds);
                let from = self.stretch(other.len());
                let end = if self.below(2) == 0 { at.start } else { at.end };
                drop(bytes.splice(at.start..end, other[from].iter().copied()));
            }
            // A letter changes its case.
            5 => bytes[at].iter_mut().take(1).for_each(|byte| *byte ^= 0x20),
            // Something odd comes.
            _ => {
                let index = self.below(PIECES.len());
                let end = if self.below(3) == 0 { at.end } else { at.start };
                drop(bytes.splice(at.start..end, PIECES[index].iter().copied()));
            }
        }
    }
}
