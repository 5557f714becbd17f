-- Whether there is another administrator who may log in is asked before one of them goes.
CREATE INDEX administrators ON accounts (id) WHERE admin = 1 AND disabled = 0;
