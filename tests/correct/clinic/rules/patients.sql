select * from customers where signed_up < current_date
