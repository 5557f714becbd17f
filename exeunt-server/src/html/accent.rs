//! An operator's colour, made to be readable on our pages: contrast AA (WCAG 2.2, 1.4.3), whatever they chose.

/// What texts need against what is behind them.
const ENOUGH: f64 = 4.5;
/// `--back` in light and dark, as in `style.css`, which `--card` is farther away from the text than.
const LIGHT: Colour = [0xf6, 0xf5, 0xf3];
const DARK: Colour = [0x21, 0x21, 0x26];
const WHITE: Colour = [0xff; 3];
const BLACK: Colour = [0; 3];
/// Into so many steps the way to black or white is divided.
const STEPS: u8 = 50;

type Colour = [u8; 3];

/// The lines of a stylesheet that put this colour in the place of ours.
pub(super) fn style(colour: Colour) -> String {
    let light = readable(colour, LIGHT, BLACK);
    let dark = readable(colour, DARK, WHITE);
    format!(
        "\n:root {{ {} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {} }} }}\n",
        variables(light),
        variables(dark)
    )
}

fn variables(accent: Colour) -> String {
    let on = if contrast(accent, WHITE) >= ENOUGH { WHITE } else { BLACK };
    format!("--accent: {}; --on-accent: {};", hex(accent), hex(on))
}

/// The colour, moved as little as need be towards black or white.
fn readable(colour: Colour, behind: Colour, towards: Colour) -> Colour {
    let mut tried = (0..=STEPS).map(|step| mixed(colour, towards, f64::from(step) / f64::from(STEPS)));
    tried.find(|tried| contrast(*tried, behind) >= ENOUGH).unwrap_or(towards)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two bytes there are bytes"
)]
fn mixed(from: Colour, to: Colour, share: f64) -> Colour {
    let [r, g, b] = [0, 1, 2].map(|at: usize| {
        let part = |colour: Colour| f64::from(colour.get(at).copied().unwrap_or_default());
        (part(from) + (part(to) - part(from)) * share).round() as u8
    });
    [r, g, b]
}

/// WCAG 2.2: from 1, the same, to 21, black on white.
fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: Colour) -> f64 {
    let [r, g, b] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn hex([r, g, b]: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_as_the_standard_has_it() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 1e-9);
        assert!((contrast(WHITE, WHITE) - 1.0).abs() < 1e-9);
        assert!((contrast([0x77; 3], WHITE) - 4.478).abs() < 1e-3);
    }

    #[test]
    fn every_colour_becomes_readable_in_light_and_dark() {
        for r in (0..=255).step_by(17) {
            for g in (0..=255).step_by(17) {
                for b in (0..=255).step_by(17) {
                    for (behind, towards) in [(LIGHT, BLACK), (DARK, WHITE)] {
                        let accent = readable([r, g, b], behind, towards);
                        assert!(contrast(accent, behind) >= ENOUGH, "{r} {g} {b}");
                        let on =
                            if variables(accent).contains("--on-accent: #ffffff") { WHITE } else { BLACK };
                        assert!(contrast(accent, on) >= ENOUGH, "{r} {g} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_colour_that_is_readable_already_stays_as_it_was_chosen() {
        assert!(
            style([0x0b, 0x57, 0xd0]).starts_with("\n:root { --accent: #0b57d0; --on-accent: #ffffff; }")
        );
    }
}
