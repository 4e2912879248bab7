-- Nothing yet of approvals.
SELECT;
