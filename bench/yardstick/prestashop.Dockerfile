# What a technician would make of this PrestaShop without the project: the distribution's server and its settings,
# the shop's files in one image, its dump in the other. The files and the dump are those of our own image, without
# the caches that our image is built with.
ARG SITE
FROM $SITE AS site
RUN /opt/e5b/build/with-database mariadb-dump --defaults-file=/opt/e5b/etc/client.cnf --single-transaction \
    prestashop >/site.sql

FROM debian:bookworm-slim AS database
RUN apt-get update \
 && apt-get install -y --no-install-recommends mariadb-server \
 && rm -rf /var/lib/apt/lists/* /var/lib/mysql
COPY --from=site /site.sql /docker-entrypoint-initdb.d/
COPY database-entrypoint /usr/local/bin/
VOLUME /var/lib/mysql
ENTRYPOINT ["database-entrypoint"]

FROM debian:bookworm-slim AS web
RUN apt-get update \
 && apt-get install -y --no-install-recommends apache2 libapache2-mod-php \
    php-mysql php-mbstring php-gd php-xml php-curl php-intl php-zip \
 && rm -rf /var/lib/apt/lists/* /var/www/html \
 && a2enmod rewrite headers expires \
 && sed -i 's|/var/www/html|/var/www/site|' /etc/apache2/sites-available/000-default.conf \
 && sed -i '/<Directory \/var\/www\/>/,/<\/Directory>/s/AllowOverride None/AllowOverride All/' /etc/apache2/apache2.conf
COPY --from=site --chown=www-data:www-data /var/www/site /var/www/site
# "keep": as the site's image has them, which names the shop's folder in them; anything else: as a fresh copy of the
# shop has them.
ARG CACHES=empty
RUN cd /var/www/site \
 && if [ "$CACHES" != keep ]; then rm -rf var/cache/* ; fi \
 && sed -i -e "s|'database_host' => '[^']*'|'database_host' => 'db'|" \
    -e "s|'database_user' => '[^']*'|'database_user' => 'site'|" \
    -e "s|'database_password' => '[^']*'|'database_password' => 'site'|" app/config/parameters.php
CMD ["apachectl", "-D", "FOREGROUND"]
