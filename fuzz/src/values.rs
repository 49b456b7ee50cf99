//! Values of handlers.

use bytes::Bytes;
use pillion::model::json::parse_strict;
use pillion::model::json_value::JsonValue;

/// A JSON text. It is read exactly if the reader of trees reads it, and is the same value: as a whole, as it is written, and
/// each of its elements and members for itself.
pub fn json_value(bytes: &[u8]) {
    let (read, tree) = (JsonValue::parse(Bytes::copy_from_slice(bytes)), parse_strict(bytes));
    assert_eq!(read.is_ok(), tree.is_ok(), "{read:?} is not {tree:?}");
    let (Ok(value), Ok(tree)) = (read, tree) else { return };
    assert_eq!(value.node().to_tree(), tree);
    assert_eq!(parse_strict(value.to_string().as_bytes()).ok().as_ref(), Some(&tree));
    assert_eq!(JsonValue::from(&tree), value);
    for (item, wanted) in value.items().zip(tree.as_array().into_iter().flatten()) {
        assert_eq!(&item.detached().node().to_tree(), wanted);
    }
    for (key, wanted) in tree.as_object().into_iter().flatten() {
        assert_eq!(value.get(key).map(|member| member.detached().node().to_tree()).as_ref(), Some(wanted));
    }
}
