DROP TABLE move_pause;
