-- Which groups is this user a member of, by name?
CREATE INDEX members_by_user ON members (user_id, group_name) WHERE is_member;
