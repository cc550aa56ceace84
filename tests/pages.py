"""Pages of summaries, as `bench.write_report` writes them."""

from bench.projection import project_folder
from bench.report.page.build import Folder, document
from bench.report.page.render import Shown, render


def page_of(folder, found):
    """Return the page of a summary, with what the results folder holds besides."""
    read = Folder(folder, found, project_folder(folder, found.frame))
    return render([Shown(read)], document([read]))
