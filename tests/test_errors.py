"""The one-line contract of `minigen.errors`."""

from minigen.errors import UserError, unknown_name


def test_a_message_with_line_breaks_is_folded_onto_one_line():
    assert str(UserError("a file\nnamed oddly\n  must exist")) == "a file named oddly must exist"


def test_a_user_error_can_be_caught_as_a_value_error():
    assert issubclass(UserError, ValueError)


def test_an_unknown_name_lists_the_known_ones_and_offers_the_nearest():
    error = unknown_name("split", "trian", ["train", "val", "test"])
    assert str(error) == (
        "split must be one of train, val, test, got 'trian' (did you mean 'train'?)"
    )


def test_a_name_like_none_of_the_known_ones_gets_no_suggestion():
    message = str(unknown_name("data", "xyzzy", ["digits", "mnist"], also="a path"))
    assert message == "data must be one of digits, mnist, or a path, got 'xyzzy'"
