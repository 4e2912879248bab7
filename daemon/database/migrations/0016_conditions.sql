-- Nothing yet of conditions.
SELECT;
