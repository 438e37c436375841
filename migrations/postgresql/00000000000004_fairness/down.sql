DROP TABLE linode_weights;
DROP TABLE weight_rule;
DROP TABLE host_fairness;
DROP TABLE usage_days;
DROP TABLE usage_rounds;
