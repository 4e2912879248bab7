-- Nothing yet of search.
SELECT;
