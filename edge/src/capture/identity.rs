//! Which sound card is which: the kernel numbers cards in the order in which it finds them, and
//! calls two of the same kind `USB` and `USB_1` in that order. The identity of a USB device and the
//! socket that it is plugged into stay the same.
//!
//! `/sys/class/sound` enters; identities, and the ALSA id that a card has today, leave.

use std::fs;
use std::path::Path;

/// Where the kernel lists the sound cards.
pub(super) const SYSFS: &str = "/sys/class/sound";

/// What an identity begins with.
pub(super) const USB: &str = "usb:";

/// A USB sound card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsbCard {
    /// ALSA's id of it today, `USB_1`.
    pub(super) card: String,
    /// Vendor and product, four hexadecimal digits each, and the serial number where there is one:
    /// `046d:0825:A1B2`.
    name: String,
    /// The socket: bus and ports, `1-1.3`.
    path: String,
}

impl std::fmt::Display for UsbCard {
    /// `usb:046d:0825:A1B2@1-1.3`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{USB}{}@{}", self.name, self.path)
    }
}

/// The USB sound cards below `sysfs`.
pub(super) fn usb_cards(sysfs: &Path) -> Vec<UsbCard> {
    let entries = fs::read_dir(sysfs).into_iter().flatten().flatten();
    let mut cards: Vec<UsbCard> = entries.filter_map(|entry| usb_card(&entry.path())).collect();
    cards.sort_by(|a, b| a.path.cmp(&b.path));
    cards
}

fn usb_card(card: &Path) -> Option<UsbCard> {
    if !card.file_name()?.to_str()?.starts_with("card") {
        return None;
    }
    let text = |path: &Path| fs::read_to_string(path).ok().map(|text| text.trim().to_string());
    // The card belongs to an interface of the device, `1-1.3:1.0`, which lies in the folder of the
    // device itself.
    let device = fs::canonicalize(card.join("device")).ok()?.parent()?.to_path_buf();
    let mut name = format!("{}:{}", text(&device.join("idVendor"))?, text(&device.join("idProduct"))?);
    if let Some(serial) = text(&device.join("serial")).filter(|serial| !serial.is_empty()) {
        name.push_str(&format!(":{serial}"));
    }
    Some(UsbCard { card: text(&card.join("id"))?, name, path: device.file_name()?.to_str()?.to_string() })
}

/// ALSA's id of the card that `wanted` means: `usb:VENDOR:PRODUCT[:SERIAL]`, with `@SOCKET` or that
/// alone, `usb:@1-1.3`.
///
/// # Errors
///
/// When there is no such card, or there are several.
pub(super) fn card_of<'a>(wanted: &str, cards: &'a [UsbCard]) -> Result<&'a str, String> {
    let wanted = wanted.strip_prefix(USB).unwrap_or(wanted);
    let (name, path) = wanted.split_once('@').unwrap_or((wanted, ""));
    let has_name = |card: &UsbCard| {
        let rest = card
            .name
            .get(..name.len())
            .filter(|start| start.eq_ignore_ascii_case(name))
            .map(|_| &card.name[name.len()..]);
        rest.is_some_and(|rest| name.is_empty() || rest.is_empty() || rest.starts_with(':'))
    };
    let fits = |card: &&UsbCard| has_name(card) && (path.is_empty() || card.path == path);
    let found: Vec<&UsbCard> = cards.iter().filter(fits).collect();
    let list = |cards: &[&UsbCard]| cards.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [card] => Ok(&card.card),
        [] if cards.is_empty() => Err("no USB sound card is plugged in".into()),
        [] => Err(format!("no such USB sound card; this machine has {}", list(&cards.iter().collect::<Vec<_>>()))),
        several => Err(format!("several USB sound cards fit; give the socket as well: {}", list(several))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine with these cards: number, ALSA id, socket, vendor, product, serial. Without a
    /// socket a card is built in.
    fn sysfs(dir: &Path, cards: &[(usize, &str, &str, &str, &str, &str)]) -> std::path::PathBuf {
        let class = dir.join("class/sound");
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("timer"), "").unwrap();
        for (number, id, socket, vendor, product, serial) in cards {
            let device = dir.join("devices").join(if socket.is_empty() { "pci" } else { socket });
            let interface = device.join(format!("{socket}:1.0"));
            let card = interface.join(format!("sound/card{number}"));
            fs::create_dir_all(&card).unwrap();
            fs::write(card.join("id"), format!("{id}\n")).unwrap();
            symlink(&interface, card.join("device")).unwrap();
            for (file, text) in [("idVendor", vendor), ("idProduct", product), ("serial", serial)] {
                if !text.is_empty() {
                    fs::write(device.join(file), format!("{text}\n")).unwrap();
                }
            }
            symlink(&card, class.join(format!("card{number}"))).unwrap();
        }
        class
    }

    #[test]
    fn cards_are_found_by_what_stays_the_same() {
        let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let built_in = (0, "PCH", "", "", "", "");
        let monday =
            [built_in, (1, "USB", "1-1.3", "046d", "0825", "A1B2"), (2, "USB_1", "1-1.4", "046d", "0825", "C3D4")];
        // After a reboot the second is found first.
        let tuesday =
            [built_in, (1, "USB_1", "1-1.3", "046d", "0825", "A1B2"), (2, "USB", "1-1.4", "046d", "0825", "C3D4")];
        let (monday, tuesday) = (usb_cards(&sysfs(a.path(), &monday)), usb_cards(&sysfs(b.path(), &tuesday)));
        assert_eq!(
            monday.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["usb:046d:0825:A1B2@1-1.3", "usb:046d:0825:C3D4@1-1.4"]
        );
        for wanted in ["usb:046d:0825:A1B2", "usb:046D:0825:a1b2@1-1.3", "usb:@1-1.3", "usb:046d:0825@1-1.3"] {
            assert_eq!(card_of(wanted, &monday), Ok("USB"), "{wanted}");
            assert_eq!(card_of(wanted, &tuesday), Ok("USB_1"), "{wanted}");
        }
    }

    #[test]
    fn what_fits_none_or_several_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let cards = [(1, "USB", "1-1", "046d", "0825", ""), (2, "USB_1", "1-2", "046d", "0825", "")];
        let cards = usb_cards(&sysfs(dir.path(), &cards));
        let several = card_of("usb:046d:0825", &cards).unwrap_err();
        assert!(several.contains("usb:046d:0825@1-1, usb:046d:0825@1-2"), "{several}");
        assert!(card_of("usb:046d:08", &cards).unwrap_err().starts_with("no such USB sound card; this machine has"));
        assert_eq!(card_of("usb:046d:0825", &[]).unwrap_err(), "no USB sound card is plugged in");
        assert!(usb_cards(Path::new("/no/such/folder")).is_empty());
    }
}
