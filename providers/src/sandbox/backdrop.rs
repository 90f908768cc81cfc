//! The background of what the sandbox draws: soft patches of color that run into each other.
//!
//! Where they are and how they are colored follows from a hash of the prompt, so the same
//! request always looks the same and different ones are told apart at a glance.

use std::f32::consts::TAU;

use image::RgbImage;
use sha2::{Digest as _, Sha256};

/// Colors are computed at the corners of squares of this many pixels and run straight in
/// between: sixty times less to compute, and no eye sees the difference.
const CELL: u32 = 8;
/// How far a patch strays from its place in the course of a film, as a part of the side.
const STRAY: f32 = 0.22;

/// Colors that go together, chosen by eye: computed ones end up brown too often. Each has two
/// dark grounds, two neighbours and one accent, and none is too light for white letters.
const PALETTES: [[u32; 5]; 10] = [
    [0x1b1a3a, 0x3d2c73, 0x7a3f9d, 0xd8577b, 0xe8875a],
    [0x06283d, 0x0b5563, 0x1282a2, 0x2fa89c, 0x0a1f44],
    [0x0f2d26, 0x1e5b48, 0x2f8f6b, 0x7dae5c, 0x123a4a],
    [0x2b0f1f, 0x6b1839, 0xb8304f, 0xe0703b, 0x3a1340],
    [0x0b1d3a, 0x164b6e, 0x1f9484, 0x6a4fc4, 0x101033],
    [0x2d1236, 0x6d2b6e, 0xb84a86, 0xdd8088, 0x35205c],
    [0x172033, 0x2c4160, 0x4e6f96, 0xb5805f, 0x1c2a3d],
    [0x24123a, 0x4b2a73, 0x8a4fa3, 0xc9933f, 0x1a1a3f],
    [0x0d2b45, 0x203c76, 0x3f6fc4, 0x3db0ba, 0x221c4f],
    [0x2a1a2e, 0x5a2d3f, 0xa14a3f, 0xcf8049, 0x1f2a44],
];

/// A patch of color.
struct Patch {
    x: f32,
    y: f32,
    /// Where on its little circle it starts.
    turn: f32,
    color: [f32; 3],
}

/// The patches of one picture or film.
pub(super) struct Backdrop {
    patches: [Patch; 5],
}

impl Backdrop {
    /// The backdrop of one of the files that are made of a prompt.
    pub(super) fn of(seed: i64, prompt: &str, index: u32) -> Self {
        let hash = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(index.to_le_bytes())
            .chain_update(prompt.as_bytes())
            .finalize();
        let share = |byte: usize| f32::from(hash[byte]) / 255.0;
        let palette = PALETTES[usize::from(hash[0]) % PALETTES.len()];
        let places = [(0.15, 0.15), (0.85, 0.2), (0.2, 0.85), (0.55, 0.6), (0.9, 0.9)];
        let patches = std::array::from_fn(|i| {
            let [_, red, green, blue] = palette[i].to_be_bytes();
            let (x, y) = places[(i + usize::from(hash[2])) % places.len()];
            Patch {
                x: x + 0.3 * (share(3 + 3 * i) - 0.5),
                y: y + 0.3 * (share(4 + 3 * i) - 0.5),
                turn: share(5 + 3 * i),
                color: [red, green, blue].map(f32::from),
            }
        });
        Self { patches }
    }

    /// Covers a canvas, as it looks after this part of a turn.
    pub(super) fn paint(&self, turn: f32, canvas: &mut RgbImage) {
        let (width, height) = canvas.dimensions();
        let columns = width.div_ceil(CELL) + 1;
        let corners: Vec<[f32; 3]> = (0..=height.div_ceil(CELL))
            .flat_map(|row| (0..columns).map(move |column| (column * CELL, row * CELL)))
            .map(|(x, y)| self.color_at(x as f32 / width as f32, y as f32 / height as f32, turn))
            .collect();
        let columns = columns as usize;
        let row_length = 3 * width as usize;
        let mut edge = vec![[0.0_f32; 3]; columns];
        for (y, row) in canvas.chunks_exact_mut(row_length).enumerate() {
            let (cell, within) = (y / CELL as usize, (y % CELL as usize) as f32 / CELL as f32);
            let above = &corners[cell * columns..][..columns];
            let below = &corners[(cell + 1) * columns..][..columns];
            for ((edge, above), below) in edge.iter_mut().zip(above).zip(below) {
                *edge = std::array::from_fn(|c| above[c] + (below[c] - above[c]) * within);
            }
            for (cell, sides) in row.chunks_mut(3 * CELL as usize).zip(edge.windows(2)) {
                let step: [f32; 3] =
                    std::array::from_fn(|c| (sides[1][c] - sides[0][c]) / CELL as f32);
                for (x, pixel) in cell.chunks_exact_mut(3).enumerate() {
                    for (c, value) in pixel.iter_mut().enumerate() {
                        *value = (sides[0][c] + step[c] * x as f32) as u8;
                    }
                }
            }
        }
    }

    /// The mixture of all patches at a point: the nearer, the stronger.
    fn color_at(&self, x: f32, y: f32, turn: f32) -> [f32; 3] {
        let mut sum = [0.0; 3];
        let mut weights = 0.0;
        for patch in &self.patches {
            let angle = TAU * (patch.turn + turn);
            let dx = x - patch.x - STRAY * angle.cos();
            let dy = y - patch.y - STRAY * angle.sin();
            let near = 1.0 / (dx * dx + dy * dy + 0.03);
            let weight = near * near;
            weights += weight;
            for (sum, part) in sum.iter_mut().zip(patch.color) {
                *sum += weight * part;
            }
        }
        sum.map(|part| part / weights)
    }
}
