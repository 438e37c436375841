DROP TABLE chosen_times;
