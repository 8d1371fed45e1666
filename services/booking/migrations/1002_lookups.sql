-- Two ways to find trips beside their ids.

-- What is final, in the order of when it became so: `changed_us` moves with the state and not with every save, so a trip
-- is entered once when it is confirmed or closed, and one that is pending never.
create index trip_final on trip (changed_us, trip) where state in ('confirmed', 'closed');
-- The trips of one traveller.
create index trip_traveller on trip (traveller, trip) where traveller is not null;
