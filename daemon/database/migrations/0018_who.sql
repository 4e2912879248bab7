-- oldest-program: 16
-- Who has asked for something: the name of the token that was shown, or of the user whom a trusted proxy has named. NULL
-- where the token has no name, or none was asked for.
ALTER TABLE dongbo.steering_actions ADD COLUMN who text;
ALTER TABLE dongbo.approvals ADD COLUMN decided_by text;
