-- Nothing yet of schedules.
SELECT;
