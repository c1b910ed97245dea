"""Tables on a narrow terminal."""

from rich.table import Table

from isacsim.cli.tables import print_whole


def test_no_word_of_a_table_is_broken_or_cut_short(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    words = [f"quantity-{i}-of-the-users" for i in range(6)]
    view = Table()
    for word in words:
        view.add_column(word, no_wrap=True)
    view.add_row(*words)
    print_whole(view)
    told = capsys.readouterr().out
    assert "…" not in told
    assert all(told.count(word) == 2 for word in words)
    assert len(told.splitlines()) == 5
