DROP TABLE check_answers;
DROP TABLE check_runs;
DROP TABLE check_plans;
DROP TABLE checks;
