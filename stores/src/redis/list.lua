return redis.call('ZRANGEBYLEX', ORDER, ARGV[4], '+', 'LIMIT', 0, ARGV[5])
