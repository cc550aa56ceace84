"""The page: its data, its charts, and one HTML file that needs nothing from outside.

`document` declares the data, `build` composes them from results folders, `render` puts them into
``assets/page.html`` with its styles and scripts. The scripts decide as `bench.recommend` does.
"""
