-- Bytes of the seats string, and states of a hold's record.
local OPEN, HELD, SOLD, BLOCKED = 111, 104, 115, 98 -- 'o' 'h' 's' 'b'
local LIVE, PURCHASED, RELEASED, EXPIRED = 1, 2, 3, 4
